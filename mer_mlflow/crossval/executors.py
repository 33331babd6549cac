"""Executors: run folds in this process or in workers, telling what happens as it happens.

Workers are plain child processes with a pipe. A pool from the standard library would not do: one
that hands back memory (``max_tasks_per_child``) can hang on Python 3.11, and none tells a killed
worker's fold from its neighbours' or reports epochs while they happen.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import subprocess
import sys
import tempfile
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe, wait
from pathlib import Path
from typing import IO, cast

from mer_mlflow.crossval.fold import Epoch, FoldResult, Task, run_fold
from mer_mlflow.crossval.splits import Split
from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import Method

FOLDS_PER_WORKER = {"scikit-learn": None, "keras": 4, "torch": None}
"""Folds after which a worker is replaced: TensorFlow keeps the memory of forgotten models."""

THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
MOST_THREADS = 1024
TAIL = 4000
"""Characters kept of what a dead worker last printed."""


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
    """A fold ended without a result, twice; ``traceback`` has the details."""

    split: Split
    reason: str
    traceback: str


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


def check_workers(method: Method, n_workers: int) -> None:
    """Make sure that a method can be run by so many workers.

    Raises
    ------
    ParameterError
        If there are none and it trains a network.
    """
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
    on_event: Callable[[FoldEvent], None],
) -> None:
    """Run folds; one that fails is tried once more, and does not stop the others.

    Parameters
    ----------
    task : what the folds share
    splits : the folds to run, started in this order
    workers : int >= 0, worker processes; 0 runs the folds in this process, one by one and with
        whatever threads it has
    threads : int >= 1, arithmetic threads of a worker. Sums depend on it in the last digits, so
        the same number gives the same scores however many workers there are
    on_event : called in this process with everything that happens
    """
    if workers == 0:
        for split in splits:
            event = _run_here(task, split, on_event)
            if isinstance(event, FoldFailed):
                on_event(_retried(event))
                event = _run_here(task, split, on_event)
            on_event(event)
    elif splits:
        _run_in_workers(task, splits, min(workers, len(splits)), threads, on_event)


def _run_here(
    task: Task, split: Split, on_event: Callable[[FoldEvent], None]
) -> FoldFinished | FoldFailed:
    on_event(FoldStarted(split=split))
    try:
        result = run_fold(task, split, lambda epoch: on_event(EpochEnded(split=split, epoch=epoch)))
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        return FoldFailed(split=split, reason=reason, traceback=traceback.format_exc())
    return FoldFinished(split=split, result=result)


def _retried(event: FoldFailed) -> FoldRetried:
    return FoldRetried(split=event.split, reason=event.reason, traceback=event.traceback)


@dataclass(kw_only=True)
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    stderr: IO[bytes]
    split: Split
    n_folds: int = 0

    def start_fold(self, split: Split) -> None:
        self.split = split
        self.n_folds += 1
        with contextlib.suppress(OSError):  # a dead worker's fold fails when it is waited for
            self.connection.send(split)

    def receive(self) -> FoldEvent:
        try:
            return cast(FoldEvent, self.connection.recv())
        except (EOFError, OSError):
            words = self._last_words()
            return FoldFailed(split=self.split, reason=words.splitlines()[0], traceback=words)

    def is_worn_out(self, most_folds: int | None) -> bool:
        return self.n_folds == most_folds or self.process.poll() is not None

    def close(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.wait()
        self.stderr.close()

    def _last_words(self) -> str:
        self.process.kill()
        self.process.wait()
        self.stderr.seek(0)
        said = self.stderr.read().decode(errors="replace")[-TAIL:]
        return f"worker process ended with exit code {self.process.returncode}\n{said}"


def _run_in_workers(
    task: Task,
    splits: Sequence[Split],
    n_workers: int,
    threads: int,
    on_event: Callable[[FoldEvent], None],
) -> None:
    waiting = deque(splits)
    most_folds = FOLDS_PER_WORKER[task.method.framework]
    workers: list[_Worker] = []
    failed_before: set[str] = set()
    with tempfile.TemporaryDirectory() as folder:
        task_file = Path(folder) / "task.pickle"
        task_file.write_bytes(pickle.dumps(task))

        def occupy(worker: _Worker | None) -> Split:
            split = waiting.popleft()
            if worker is None:
                worker = _start_worker(task_file, threads, split)
                workers.append(worker)
            worker.start_fold(split)
            return split

        def retire(worker: _Worker) -> None:
            workers.remove(worker)
            worker.close()

        try:
            for _ in range(n_workers):
                on_event(FoldStarted(split=occupy(None)))
            while workers:
                for ready in wait([worker.connection for worker in workers]):
                    worker = next(worker for worker in workers if worker.connection is ready)
                    event = worker.receive()
                    if isinstance(event, FoldFailed) and event.split.id not in failed_before:
                        failed_before.add(event.split.id)
                        waiting.appendleft(event.split)
                        event = _retried(event)
                    started = None
                    if not isinstance(event, EpochEnded):
                        is_leaving = not waiting or worker.is_worn_out(most_folds)
                        if is_leaving:
                            retire(worker)
                        if waiting:
                            started = occupy(None if is_leaving else worker)
                    on_event(event)
                    if started is not None:
                        on_event(FoldStarted(split=started))
        finally:
            for worker in workers:
                worker.close()


def _start_worker(task_file: Path, threads: int, split: Split) -> _Worker:
    ours, theirs = Pipe()
    environment = dict.fromkeys(THREAD_VARIABLES, str(threads)) | {"TF_NUM_INTEROP_THREADS": "1"}
    root = Path(__file__).parents[2]
    search_path = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    stderr = tempfile.TemporaryFile()  # noqa: SIM115, it lives as long as the worker
    module, descriptor = "mer_mlflow.crossval.worker", theirs.fileno()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", module, str(descriptor), str(task_file)],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
            stderr=stderr,
            env={**os.environ, **environment, "PYTHONPATH": search_path},
        )
    finally:
        theirs.close()
    return _Worker(process=process, connection=ours, stderr=stderr, split=split)
