"""Worker processes of one task: started, sent batches, watched and ended.

Workers are plain child processes with a pipe. A pool from the standard library would not do: one
that hands back memory (``max_tasks_per_child``) can hang on Python 3.11, and none reports epochs
while they happen or says which job a killed worker was running.
"""

from __future__ import annotations

import contextlib
import math
import os
import pickle
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO

from mer_mlflow.arithmetic import THREAD_VARIABLES, environment
from mer_mlflow.crossval.executors.events import Failure
from mer_mlflow.crossval.executors.messages import Message, Order, Rehearsed
from mer_mlflow.crossval.executors.watch import Watch, WatchedTime, silence_limit
from mer_mlflow.crossval.jobs import Batch, Job, Task
from mer_mlflow.crossval.splits import Split

JOBS_PER_WORKER = {"scikit-learn": None, "keras": 4, "torch": None}
"""Jobs after which a worker is replaced: TensorFlow keeps the memory of deleted models."""

WORKER_MODULE = "mer_mlflow.crossval.executors.worker"
TAIL = 4000
"""Characters kept of what a dead worker last printed."""
TICK_SECONDS = 0.5
"""Time between checks of workers that send nothing."""
KILL_SECONDS = 10.0
"""Time that a killed process gets to end: one that waits for a disk may not."""


def task_content(task: Task, batches: Sequence[Batch]) -> tuple[Task, dict[str, Split]]:
    """Return what a worker process reads at its start: a task, and the splits of its jobs by id."""
    return task, {job.split.id: job.split for batch in batches for job in batch}


def worker_environment(threads: int, arithmetic: str) -> dict[str, str]:
    """Return the environment of a worker.

    Parameters
    ----------
    threads : int >= 1, arithmetic threads
    arithmetic : one of :data:`mer_mlflow.arithmetic.ARITHMETICS`
    """
    own = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"TF_NUM_INTEROP_THREADS": "1"}
    root = Path(__file__).parents[3]
    search_path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    return {**environment(arithmetic), **own, "PYTHONPATH": search_path}


@dataclass(kw_only=True, eq=False)
class WorkerProcess:
    """A worker process.

    Attributes
    ----------
    process, connection, stderr : the process, the pipe to it and what it prints
    watch : whether it gives signs of life
    batch : jobs that it runs, empty for none
    deadline : time after which it is ended, see :class:`WatchedTime`
    n_jobs : number of jobs that it was sent
    listener : thread that receives its messages
    """

    process: subprocess.Popen[bytes]
    connection: Connection
    stderr: IO[bytes]
    watch: Watch
    batch: Batch = ()
    deadline: float = math.inf
    n_jobs: int = 0
    listener: threading.Thread = field(default_factory=threading.Thread)

    def rehearse(self, job: Job, *, deadline: float) -> None:
        """Send a job for a rehearsal."""
        self.deadline = deadline
        self._send(Order.of((job,), is_rehearsal=True))

    def start(self, batch: Batch, *, deadline: float) -> None:
        """Send a batch."""
        self.batch = batch
        self.deadline = deadline
        self.n_jobs += len(batch)
        self._send(Order.of(batch))

    def kill(self, reason: str = "", *, is_late: bool = False) -> Failure | Rehearsed:
        """End the process, if it has not ended, and return why its batch has no results.

        A rehearsal without an answer shows nothing about the jobs.
        """
        self._kill()
        if not self.batch:
            return Rehearsed(reason=None)
        self.stderr.seek(0)
        printed = self.stderr.read().decode(errors="replace")[-TAIL:]
        reason = reason or f"worker process ended with exit code {self.process.returncode}"
        return Failure(reason=reason, traceback=f"{reason}\n{printed}", is_late=is_late)

    def must_be_replaced(self, most_jobs: int | None) -> bool:
        """Return whether the process has run its number of jobs, or has ended."""
        is_used_up = most_jobs is not None and self.n_jobs >= most_jobs
        return is_used_up or self.process.poll() is not None

    def close(self) -> None:
        """End the process, and close what belongs to it."""
        self._kill()
        self.listener.join(KILL_SECONDS)
        if not self.listener.is_alive():  # else its descriptor must not become another file's
            self.connection.close()
        self.stderr.close()

    def _send(self, order: Order) -> None:
        with contextlib.suppress(OSError):  # a dead worker's batch fails when it is waited for
            self.connection.send(order)

    def _kill(self) -> None:
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(KILL_SECONDS)


class Pool(AbstractContextManager["Pool"]):
    """Worker processes that run the batches of one task, closed with ``with``.

    Parameters
    ----------
    task_file : open file with the pickle of :func:`task_content`
    variables : environment of the processes, see :func:`worker_environment`
    fold_timeout : seconds that a job may take, None for any
    """

    def __init__(
        self, task_file: IO[bytes], variables: Mapping[str, str], *, fold_timeout: float | None
    ) -> None:
        self.workers: list[WorkerProcess] = []
        self._variables = variables
        self._fold_timeout = fold_timeout
        self._silence = silence_limit()
        self._time = WatchedTime()
        self._inbox: SimpleQueue[tuple[WorkerProcess, Message | None]] = SimpleQueue()
        self._task_file = task_file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in list(self.workers):
            self.retire(worker)

    def start_worker(self) -> WorkerProcess:
        """Start a worker process."""
        ours, theirs = Pipe()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the worker
        descriptors = [theirs.fileno(), self._task_file.fileno()]
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", WORKER_MODULE, *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env=self._variables,
            )
        finally:
            theirs.close()
        watch = Watch(process.pid, limit=self._silence, now=self._time.tick())
        worker = WorkerProcess(process=process, connection=ours, stderr=stderr, watch=watch)
        worker.listener = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        worker.listener.start()
        self.workers.append(worker)
        return worker

    def rehearse(self, worker: WorkerProcess, job: Job) -> None:
        """Let a worker rehearse a job."""
        worker.rehearse(job, deadline=self._deadline(1))

    def start(self, worker: WorkerProcess, batch: Batch) -> None:
        """Let a worker run a batch."""
        worker.start(batch, deadline=self._deadline(len(batch)))

    def _deadline(self, n_jobs: int) -> float:
        return self._time.tick() + n_jobs * (self._fold_timeout or math.inf)

    def retire(self, worker: WorkerProcess) -> None:
        """End a worker."""
        self.workers.remove(worker)
        worker.close()

    def receive(self, on_tick: Callable[[], None] = lambda: None) -> tuple[WorkerProcess, Message]:
        """Wait for a worker's message, or for a worker that will send no more.

        Parameters
        ----------
        on_tick : called again and again while nothing is received
        """
        while True:
            on_tick()
            now = self._time.tick()
            for worker in self.workers:
                if now >= worker.deadline:
                    reason = f"no result within fold_timeout={self._fold_timeout:g} s"
                    return worker, worker.kill(reason, is_late=True)
                if worker.watch.is_silent(now):
                    return worker, worker.kill(f"no sign of life for {self._silence:g} s")
            try:
                worker, message = self._inbox.get(timeout=TICK_SECONDS)
            except Empty:
                continue
            if worker in self.workers:
                worker.watch.note_sign(self._time.tick())
                return worker, worker.kill() if message is None else message

    def _listen(self, worker: WorkerProcess) -> None:
        """Receive a worker's messages in a thread: half a message may never end."""
        message: Message | None
        while True:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                message = None
            self._inbox.put((worker, message))
            if message is None:
                return
