"""Messages between a process that runs jobs in workers, and its workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mer_mlflow.crossval.executors.events import Failure
from mer_mlflow.crossval.jobs import Batch, Epoch, FoldResult


@dataclass(frozen=True, kw_only=True)
class Order:
    """What a worker is to do: a batch, or the rehearsal of a job.

    Attributes
    ----------
    split_id : the split, which the worker has
    hyperparameters : of each job
    is_rehearsal : whether the first job is only to be rehearsed
    """

    split_id: str
    hyperparameters: tuple[Any, ...]
    is_rehearsal: bool = False

    @classmethod
    def of(cls, batch: Batch, *, is_rehearsal: bool = False) -> Order:
        """Order of a batch."""
        return cls(
            split_id=batch[0].split.id,
            hyperparameters=tuple(job.hyperparameters for job in batch),
            is_rehearsal=is_rehearsal,
        )


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """Answer to a rehearsal: why no job can be run, None where nothing was found."""

    reason: str | None


@dataclass(frozen=True, kw_only=True)
class BatchEpoch:
    """A job finished an epoch; its position in the batch."""

    position: int
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class BatchFinished:
    """Results of a batch, in its order."""

    results: tuple[FoldResult, ...]


Message = Rehearsed | BatchEpoch | BatchFinished | Failure
"""What a worker sends."""
