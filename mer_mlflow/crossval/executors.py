"""Executors: run folds in this process or in workers, telling what happens as it happens.

Workers are plain child processes with a pipe. A pool from the standard library would not do: one
that hands back memory (``max_tasks_per_child``) can hang on Python 3.11, and none tells a killed
worker's fold from its neighbours' or reports epochs while they happen.
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
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import IO

from mer_mlflow.arithmetic import NATIVE, THREAD_VARIABLES, environment, require
from mer_mlflow.crossval.fold import Epoch, FoldResult, Task, run_fold
from mer_mlflow.crossval.rehearsal import refusal
from mer_mlflow.crossval.splits import Split
from mer_mlflow.crossval.watch import Watch, WatchedTime, silence_limit
from mer_mlflow.errors import ParameterError, UntrainableError
from mer_mlflow.training import Method

FOLDS_PER_WORKER = {"scikit-learn": None, "keras": 4, "torch": None}
"""Folds after which a worker is replaced: TensorFlow keeps the memory of forgotten models."""

MOST_THREADS = 1024
TAIL = 4000
"""Characters kept of what a dead worker last printed."""
TICK_SECONDS = 0.5
"""Time between looks at workers that say nothing."""
KILL_SECONDS = 10.0
"""Time that a killed process gets to end: one that waits for a disk may not."""


@dataclass(frozen=True, kw_only=True)
class FoldStarted:
    """A fold began."""

    split: Split


@dataclass(frozen=True, kw_only=True)
class EpochEnded:
    """A fold finished an epoch."""

    split: Split
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class FoldFinished:
    """A fold has its result."""

    split: Split
    result: FoldResult


@dataclass(frozen=True, kw_only=True)
class FoldRetried:
    """A fold ended without a result for the first time, and begins again with the same seed."""

    split: Split
    reason: str
    traceback: str


@dataclass(frozen=True, kw_only=True)
class FoldFailed:
    """A fold ended without a result, twice.

    Attributes
    ----------
    split : the fold
    reason : one line
    traceback : the details
    is_certain : whether trying again ends the same: the fold's own arithmetic failed, and both
        times for this reason
    is_late : whether it was given up because it took too long
    """

    split: Split
    reason: str
    traceback: str
    is_certain: bool = False
    is_late: bool = False


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker is to do: a fold, or its rehearsal."""

    split_id: str
    is_rehearsal: bool = False


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """A worker's answer to a rehearsal: why no fold can be run, None where nothing is known."""

    reason: str | None


FoldEvent = FoldStarted | EpochEnded | FoldFinished | FoldRetried | FoldFailed


def resolve_workers(workers: int | None) -> int:
    """Complete a number of worker processes.

    Parameters
    ----------
    workers : int >= 0, None for one a core

    Raises
    ------
    ParameterError
        If it is negative.
    """
    if workers is None:
        return os.cpu_count() or 1
    if workers < 0:
        raise ParameterError(f"workers={workers}: must be >= 0")
    return workers


def check_workers(method: Method, n_workers: int, *, fold_timeout: float | None = None) -> None:
    """Make sure that a method can be run by so many workers.

    Parameters
    ----------
    method : the methodology
    n_workers : int >= 0, worker processes
    fold_timeout : float > 0, seconds that a fold may take, None for any

    Raises
    ------
    ParameterError
        If there are none and it trains a network, or folds are to be timed.
    """
    silence_limit()
    if fold_timeout is not None and not 0 < fold_timeout < math.inf:
        raise ParameterError(f"fold_timeout={fold_timeout:g}: must be a number of seconds > 0")
    if n_workers == 0 and fold_timeout is not None:
        raise ParameterError(
            "workers=0: fold_timeout needs a worker, which can be ended; use workers=1"
        )
    if n_workers == 0 and method.framework != "scikit-learn":
        raise ParameterError(
            f"workers=0: {method.name} needs a worker, whose arithmetic threads are fixed; "
            "use workers=1"
        )


def run_folds(
    task: Task,
    splits: Sequence[Split],
    *,
    workers: int,
    threads: int,
    arithmetic: str = NATIVE,
    on_event: Callable[[FoldEvent], None],
    fold_timeout: float | None = None,
) -> None:
    """Run folds; one that fails is tried once more, and does not stop the others.

    First a fold is rehearsed on a few clips, so that what fails in all of them is known before any
    is started.

    Parameters
    ----------
    task : what the folds share
    splits : the folds to run, started in this order
    workers : int >= 0, worker processes; 0 runs the folds in this process, one by one and with
        whatever threads it has
    threads : int >= 1, arithmetic threads of a worker. Sums depend on it in the last digits, so
        the same number gives the same scores however many workers there are
    arithmetic : one of :data:`mer_mlflow.arithmetic.ARITHMETICS`
    on_event : called in this process with everything that happens
    fold_timeout : seconds that a fold may take in a worker, by default any. A worker that gives no
        sign of life is replaced in any case

    Raises
    ------
    UntrainableError
        If no fold can be run, whatever the number of tries.
    NotInEffectError
        If folds are to be run in this process, which was not started for the arithmetic.
    """
    if not splits:
        return
    if workers == 0:
        require(arithmetic)
        _refuse_untrainable(task, refusal(task, splits[0]))
        for split in splits:
            event = _run_here(task, split, on_event)
            if isinstance(event, FoldFailed):
                on_event(_retried(event))
                event = _twice_failed(event, _run_here(task, split, on_event))
            on_event(event)
    else:
        variables = worker_environment(threads, arithmetic)
        with _Pool(task, splits, variables=variables, fold_timeout=fold_timeout) as pool:
            _run_in_workers(pool, splits, min(workers, len(splits)), on_event)


def worker_environment(threads: int, arithmetic: str) -> dict[str, str]:
    """Return the environment of a worker.

    Parameters
    ----------
    threads : int >= 1, arithmetic threads
    arithmetic : one of :data:`mer_mlflow.arithmetic.ARITHMETICS`
    """
    own = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"TF_NUM_INTEROP_THREADS": "1"}
    root = Path(__file__).parents[2]
    search_path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    return {**environment(arithmetic), **own, "PYTHONPATH": search_path}


def failed(split: Split, error: Exception) -> FoldFailed:
    """What is known of a fold that raised an error, which is being handled."""
    return FoldFailed(
        split=split,
        reason=f"{type(error).__name__}: {error}",
        traceback=traceback.format_exc(),
        is_certain=not isinstance(error, OSError | MemoryError),
    )


def _refuse_untrainable(task: Task, reason: str | None) -> None:
    if reason is not None:
        raise UntrainableError(
            f"{task.method.name} cannot be trained as requested ({reason}); no fold was started: "
            "change the hyperparameters, the duration or the data"
        )


def _run_here(
    task: Task, split: Split, on_event: Callable[[FoldEvent], None]
) -> FoldFinished | FoldFailed:
    on_event(FoldStarted(split=split))
    try:
        result = run_fold(task, split, lambda epoch: on_event(EpochEnded(split=split, epoch=epoch)))
    except Exception as error:
        return failed(split, error)
    return FoldFinished(split=split, result=result)


def _retried(event: FoldFailed) -> FoldRetried:
    return FoldRetried(split=event.split, reason=event.reason, traceback=event.traceback)


def _twice_failed(
    first: FoldFailed, second: FoldFinished | FoldFailed
) -> FoldFinished | FoldFailed:
    if isinstance(second, FoldFinished):
        return second
    is_same = first.is_certain and second.is_certain and first.reason == second.reason
    return replace(second, is_certain=is_same)


Message = EpochEnded | FoldFinished | FoldFailed | Rehearsed
"""What comes from a worker."""


@dataclass(kw_only=True, eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    stderr: IO[bytes]
    watch: Watch
    split: Split | None = None
    deadline: float = math.inf
    n_folds: int = 0
    listener: threading.Thread = field(default_factory=threading.Thread)

    def rehearse(self, split: Split, *, deadline: float) -> None:
        self.deadline = deadline
        self._send(Order(split_id=split.id, is_rehearsal=True))

    def start_fold(self, split: Split, *, deadline: float) -> None:
        self.split = split
        self.deadline = deadline
        self.n_folds += 1
        self._send(Order(split_id=split.id))

    def lose(self, reason: str = "", *, is_late: bool = False) -> FoldFailed | Rehearsed:
        """End the process, if it has not ended, and give up what it did.

        A rehearsal that has no answer says nothing of the folds.
        """
        self._kill()
        if self.split is None:
            return Rehearsed(reason=None)
        self.stderr.seek(0)
        said = self.stderr.read().decode(errors="replace")[-TAIL:]
        words = reason or f"worker process ended with exit code {self.process.returncode}"
        return FoldFailed(
            split=self.split, reason=words, traceback=f"{words}\n{said}", is_late=is_late
        )

    def is_worn_out(self, most_folds: int | None) -> bool:
        return self.n_folds == most_folds or self.process.poll() is not None

    def close(self) -> None:
        self._kill()
        self.listener.join(KILL_SECONDS)
        if not self.listener.is_alive():  # else its descriptor must not become another file's
            self.connection.close()
        self.stderr.close()

    def _send(self, order: Order) -> None:
        with contextlib.suppress(OSError):  # a dead worker's fold fails when it is waited for
            self.connection.send(order)

    def _kill(self) -> None:
        self.process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(KILL_SECONDS)


class _Pool(AbstractContextManager["_Pool"]):
    """Worker processes that run the folds of one task, closed with ``with``.

    The task is a file that has no name, so that nothing is left of it whatever ends this process.

    Parameters
    ----------
    task : what the folds share
    splits : the folds
    variables : environment of the processes
    fold_timeout : seconds that a fold may take, None for any
    """

    def __init__(
        self,
        task: Task,
        splits: Sequence[Split],
        *,
        variables: Mapping[str, str],
        fold_timeout: float | None,
    ) -> None:
        self.task = task
        self.workers: list[_Worker] = []
        self._variables = dict(variables)
        self._fold_timeout = fold_timeout
        self._silence = silence_limit()
        self._time = WatchedTime()
        self._inbox: SimpleQueue[tuple[_Worker, Message | None]] = SimpleQueue()
        self._task_file = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the pool
        pickle.dump((task, {split.id: split for split in splits}), self._task_file)
        self._task_file.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for worker in list(self.workers):
            self.retire(worker)
        self._task_file.close()

    def start_worker(self) -> _Worker:
        ours, theirs = Pipe()
        stderr = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the worker
        descriptors = [theirs.fileno(), self._task_file.fileno()]
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", "mer_mlflow.crossval.worker", *map(str, descriptors)],
                pass_fds=descriptors,
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env=self._variables,
            )
        finally:
            theirs.close()
        watch = Watch(process.pid, limit=self._silence, now=self._time.tick())
        worker = _Worker(process=process, connection=ours, stderr=stderr, watch=watch)
        worker.listener = threading.Thread(target=self._listen, args=(worker,), daemon=True)
        worker.listener.start()
        self.workers.append(worker)
        return worker

    def rehearse(self, worker: _Worker, split: Split) -> None:
        worker.rehearse(split, deadline=self._deadline())

    def start_fold(self, worker: _Worker, split: Split) -> None:
        worker.start_fold(split, deadline=self._deadline())

    def _deadline(self) -> float:
        return self._time.tick() + (self._fold_timeout or math.inf)

    def retire(self, worker: _Worker) -> None:
        self.workers.remove(worker)
        worker.close()

    def receive(self) -> tuple[_Worker, Message]:
        """Wait for what a worker says, or for one that will say nothing any more."""
        while True:
            now = self._time.tick()
            for worker in self.workers:
                if now >= worker.deadline:
                    words = f"no result within fold_timeout={self._fold_timeout:g} s"
                    return worker, worker.lose(words, is_late=True)
                if worker.watch.is_silent(now):
                    return worker, worker.lose(f"no sign of life for {self._silence:g} s")
            try:
                worker, message = self._inbox.get(timeout=TICK_SECONDS)
            except Empty:
                continue
            if worker in self.workers:
                worker.watch.note_sign(self._time.tick())
                return worker, worker.lose() if message is None else message

    def _listen(self, worker: _Worker) -> None:
        """Pass on what a worker says, in a thread: half a message may never end."""
        message: Message | None
        while True:
            try:
                message = worker.connection.recv()
            except (EOFError, OSError, pickle.UnpicklingError):
                message = None
            self._inbox.put((worker, message))
            if message is None:
                return


def _run_in_workers(
    pool: _Pool,
    splits: Sequence[Split],
    n_workers: int,
    on_event: Callable[[FoldEvent], None],
) -> None:
    waiting = deque(splits)
    most_folds = FOLDS_PER_WORKER[pool.task.method.framework]
    failed_before: dict[str, FoldFailed] = {}
    can_be_run = False
    for _ in range(n_workers):
        pool.rehearse(pool.start_worker(), splits[0])
    while pool.workers:
        worker, message = pool.receive()
        event: FoldEvent | None
        if isinstance(message, Rehearsed):
            if not can_be_run:
                _refuse_untrainable(pool.task, message.reason)
            can_be_run, event = True, None
        elif isinstance(message, FoldFailed) and message.split.id not in failed_before:
            failed_before[message.split.id] = message
            waiting.appendleft(message.split)
            event = _retried(message)
        elif isinstance(message, FoldFailed):
            event = _twice_failed(failed_before[message.split.id], message)
        else:
            event = message
        started = None
        if not isinstance(event, EpochEnded):
            is_leaving = not waiting or worker.is_worn_out(most_folds)
            if is_leaving:
                pool.retire(worker)
            if waiting:
                started = waiting.popleft()
                pool.start_fold(pool.start_worker() if is_leaving else worker, started)
        if event is not None:
            on_event(event)
        if started is not None:
            on_event(FoldStarted(split=started))
