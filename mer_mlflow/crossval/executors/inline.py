"""The executor that runs jobs in this process, one batch after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mer_mlflow.arithmetic import require
from mer_mlflow.crossval.executors.events import (
    EpochEnded,
    FoldEvent,
    FoldStarted,
    Retries,
    failure,
    finished,
    refuse_untrainable,
)
from mer_mlflow.crossval.jobs import Batch, Task, reset_peak_memory, run_jobs
from mer_mlflow.crossval.rehearsal import refusal


@dataclass(frozen=True, kw_only=True)
class InlineExecutor:
    """Runs jobs in this process, with the arithmetic threads that it has."""

    def run(
        self, task: Task, batches: Sequence[Batch], *, on_event: Callable[[FoldEvent], None]
    ) -> None:
        """Run batches, see :class:`mer_mlflow.crossval.executors.Executor`.

        Raises
        ------
        UntrainableError
            If no job can be run, however often it is tried.
        NotInEffectError
            If this process was not started for the task's arithmetic.
        """
        require(task.arithmetic)
        refuse_untrainable(task, refusal(task, batches[0][0]))
        waiting, retries = deque(batches), Retries()
        while waiting:
            batch = waiting.popleft()
            for job in batch:
                on_event(FoldStarted(job=job))
            reset_peak_memory()
            try:
                results = run_jobs(
                    task, batch, lambda job, epoch: on_event(EpochEnded(job=job, epoch=epoch))
                )
            except Exception as error:
                events, again = retries.after(batch, failure(error))
                waiting.extendleft(reversed(again))
            else:
                events = finished(batch, results)
            for event in events:
                on_event(event)
