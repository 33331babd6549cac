"""Events: what an executor reports while jobs run."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass

from mer_mlflow.crossval.jobs import Batch, Epoch, FoldResult, Job, Task
from mer_mlflow.errors import UntrainableError


@dataclass(frozen=True, kw_only=True)
class FoldStarted:
    """A job started."""

    job: Job


@dataclass(frozen=True, kw_only=True)
class EpochEnded:
    """A job finished an epoch."""

    job: Job
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class FoldFinished:
    """A job has its result."""

    job: Job
    result: FoldResult


@dataclass(frozen=True, kw_only=True)
class FoldRetried:
    """A job failed for the first time, and starts again with the same seed."""

    job: Job
    reason: str
    traceback: str


@dataclass(frozen=True, kw_only=True)
class FoldFailed:
    """A job failed twice.

    Attributes
    ----------
    job : the job
    reason : one line
    traceback : the details
    is_certain : whether another try would fail too: the training itself failed, both times for
        this reason
    is_late : whether it was stopped because of ``fold_timeout``
    """

    job: Job
    reason: str
    traceback: str
    is_certain: bool = False
    is_late: bool = False


FoldEvent = FoldStarted | EpochEnded | FoldFinished | FoldRetried | FoldFailed


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a batch has no results.

    Attributes
    ----------
    reason : one line
    traceback : the details
    is_certain : whether the training itself failed, not the process or the machine
    is_late : whether it was stopped because of ``fold_timeout``
    """

    reason: str
    traceback: str
    is_certain: bool = False
    is_late: bool = False


def failure(error: Exception) -> Failure:
    """Describe an error that is being handled."""
    return Failure(
        reason=f"{type(error).__name__}: {error}",
        traceback=traceback.format_exc(),
        is_certain=not isinstance(error, OSError | MemoryError),
    )


class Retries:
    """Decides what follows a failure: each job is tried once more, by itself."""

    def __init__(self) -> None:
        self._first: dict[Job, Failure] = {}

    def after(self, batch: Batch, found: Failure) -> tuple[list[FoldEvent], list[Batch]]:
        """Return the events of a failure, and the batches that are to be run again.

        Parameters
        ----------
        batch : the jobs that have no results
        found : why
        """
        again = [job for job in batch if job not in self._first]
        events = [self._failed(job, found) for job in batch if job in self._first]
        self._first.update(dict.fromkeys(again, found))
        retried = [
            FoldRetried(job=job, reason=found.reason, traceback=found.traceback) for job in again
        ]
        return [*events, *retried], [(job,) for job in again]

    def _failed(self, job: Job, second: Failure) -> FoldFailed:
        first = self._first[job]
        return FoldFailed(
            job=job,
            reason=second.reason,
            traceback=second.traceback,
            is_certain=first.is_certain and second.is_certain and first.reason == second.reason,
            is_late=second.is_late,
        )


def finished(batch: Batch, results: Sequence[FoldResult]) -> list[FoldEvent]:
    """Return an event for each job of a batch that was run."""
    return [
        FoldFinished(job=job, result=result) for job, result in zip(batch, results, strict=True)
    ]


def refuse_untrainable(task: Task, reason: str | None) -> None:
    """Raise an error where the rehearsal found that no job can be run.

    Parameters
    ----------
    task : whose jobs are to be run
    reason : what the rehearsal found, None for nothing

    Raises
    ------
    UntrainableError
        If there is a reason.
    """
    if reason is not None:
        raise UntrainableError(
            f"{task.method.name} cannot be trained as requested ({reason}); no fold was started: "
            "change the hyperparameters, the duration or the data"
        )
