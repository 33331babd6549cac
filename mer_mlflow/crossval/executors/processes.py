"""The executor that runs jobs in worker processes of this machine."""

from __future__ import annotations

import pickle
import tempfile
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mer_mlflow.crossval.executors.events import (
    EpochEnded,
    Failure,
    FoldEvent,
    FoldStarted,
    Retries,
    finished,
    refuse_untrainable,
)
from mer_mlflow.crossval.executors.messages import BatchEpoch, BatchFinished, Rehearsed
from mer_mlflow.crossval.executors.pool import (
    JOBS_PER_WORKER,
    Pool,
    task_content,
    worker_environment,
)
from mer_mlflow.crossval.jobs import Batch, Task
from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.training import Method


@dataclass(frozen=True, kw_only=True)
class ProcessExecutor:
    """Runs jobs in worker processes of this machine.

    Attributes
    ----------
    workers : int >= 1, worker processes
    fold_timeout : float > 0 [s], time that a job may take, None for any. A worker that uses no
        processor time and sends nothing is replaced in any case
    """

    workers: int
    fold_timeout: float | None = None

    def run(
        self, task: Task, batches: Sequence[Batch], *, on_event: Callable[[FoldEvent], None]
    ) -> None:
        """Run batches, see :class:`mer_mlflow.crossval.executors.Executor`.

        Raises
        ------
        ParameterError
            If the method is not registered.
        UntrainableError
            If no job can be run, however often it is tried.
        """
        require_registered(task.method)
        n_workers = min(self.workers, len(batches))
        variables = worker_environment(task.threads, task.arithmetic)
        with tempfile.TemporaryFile() as file:  # nothing is left of it whatever ends this process
            pickle.dump(task_content(task, batches), file)
            file.flush()
            with Pool(file, variables, fold_timeout=self.fold_timeout) as pool:
                _run_in_workers(pool, task, batches, n_workers, on_event)


def require_registered(method: Method) -> None:
    """Check that worker processes can find a method.

    Raises
    ------
    ParameterError
        If it is not registered.
    """
    if method.name not in method_names() or get_method(method.name) is not method:
        raise ParameterError(
            f"method {method.name} is not registered: workers cannot find it; use workers=0"
        )


def _run_in_workers(
    pool: Pool,
    task: Task,
    batches: Sequence[Batch],
    n_workers: int,
    on_event: Callable[[FoldEvent], None],
) -> None:
    waiting, retries = deque(batches), Retries()
    most_jobs = JOBS_PER_WORKER[task.method.framework]
    can_be_run = False
    for _ in range(n_workers):
        pool.rehearse(pool.start_worker(), batches[0][0])
    while pool.workers:
        worker, message = pool.receive()
        events: list[FoldEvent] = []
        started: Batch = ()
        match message:
            case BatchEpoch():
                on_event(EpochEnded(job=worker.batch[message.position], epoch=message.epoch))
                continue
            case Rehearsed():
                if not can_be_run:
                    refuse_untrainable(task, message.reason)
                can_be_run = True
            case BatchFinished():
                events = finished(worker.batch, message.results)
            case Failure():
                events, again = retries.after(worker.batch, message)
                waiting.extendleft(reversed(again))
        is_leaving = not waiting or worker.must_be_replaced(most_jobs)
        if is_leaving:
            pool.retire(worker)
        if waiting:  # before the events, so that the worker need not wait for who follows them
            started = waiting.popleft()
            pool.start(pool.start_worker() if is_leaving else worker, started)
        for event in (*events, *(FoldStarted(job=job) for job in started)):
            on_event(event)
