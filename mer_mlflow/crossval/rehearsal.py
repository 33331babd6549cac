"""Rehearsal: a fold on a few clips, which shows whether folds can be run at all.

A backend that is not installed, an excerpt too short for a network's pooling or weights that do not
fit end every fold alike. Fitting a few clips for one epoch takes seconds and meets the same errors,
whatever the methodology.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.crossval.jobs import Job, Task, run_jobs
from mer_mlflow.errors import DivergenceError, MerError
from mer_mlflow.training.hyperparameters import Role, values_of

N_TRAIN, N_TEST = 4, 2
"""Training clips of each quadrant, and test clips, of a rehearsal."""
MOST_CHARACTERS = 300
PASSING = (DivergenceError, OSError, MemoryError)
"""Errors that say nothing of other folds: a loss depends on the clips, the rest on the moment."""


def refusal(task: Task, job: Job) -> str | None:
    """Why no job of a task can be run; None where no reason was found.

    A few clips may be too few for a methodology. What fails with them is therefore tried with all
    training clips of the split before it is refused.

    Parameters
    ----------
    task : whose jobs are to be run
    job : one of them
    """
    once = replace(task, choice=None, probes={}, model_folder=None)
    hyperparameters = _one_epoch(job.hyperparameters)
    split = replace(job.split, test=job.split.train[:N_TEST])
    few = _first_of_each(split.train, task.examples.labels)
    for train in (few, split.train):
        rehearsed = Job(split=replace(split, train=train), hyperparameters=hyperparameters)
        try:
            run_jobs(once, (rehearsed,))
        except PASSING:
            return None
        except Exception as error:
            reason = failure_reason(error)
        else:
            return None
    return reason


def failure_reason(error: Exception) -> str:
    """What a fold failed by, in one line; the project's own errors need no name."""
    words = " ".join(str(error).split())
    if len(words) > MOST_CHARACTERS:
        words = f"{words[:MOST_CHARACTERS]} …"
    return words if isinstance(error, MerError) else f"{type(error).__name__}: {words}"


def _one_epoch(hyperparameters: Any) -> Any:
    return replace(hyperparameters, **dict.fromkeys(values_of(hyperparameters, Role.EPOCHS), 1))


def _first_of_each(clips: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    of_clips = labels[clips]
    first = [clips[of_clips == label][:N_TRAIN] for label in np.unique(of_clips)]
    return np.sort(np.concatenate(first))
