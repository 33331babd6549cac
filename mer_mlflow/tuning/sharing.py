"""Folds of settings that share work, run ahead of the trials that they belong to.

A search evaluates one setting after the other, but its next ones are mostly known. Where a method
can fit several at once, they are: fold by fold, so that what they have in common is done once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from joblib import Parallel, delayed

from mer_mlflow.crossval.fold import FoldResult, Task, run_fold_of_settings
from mer_mlflow.crossval.setting import Setting, with_hyperparameters
from mer_mlflow.crossval.splits import Split
from mer_mlflow.representations import Examples
from mer_mlflow.tuning.space import Point, point_key

MOST_AT_ONCE = 40
"""Settings fitted together: of processes on one study, each may fit some that another takes."""


class FoldsAhead:
    """Results of the folds of a search's next settings.

    Parameters
    ----------
    setting : of any point of the search
    examples : the setting's inputs of all clips
    workers : int >= 0, folds run at a time
    """

    def __init__(self, setting: Setting, examples: Examples, *, workers: int) -> None:
        self._setting = setting
        self._examples = examples
        self._workers = max(1, workers)
        self._ready: dict[str, dict[str, FoldResult]] = {}

    def take(self, point: Point, upcoming: Callable[[], list[Point]]) -> Mapping[str, FoldResult]:
        """Results of a point's folds by split id; those of folds that fail are left out.

        Parameters
        ----------
        point : whose folds are needed now
        upcoming : gives the points that are likely to be needed next
        """
        key = point_key(point)
        if key not in self._ready:
            others = [other for other in upcoming() if point_key(other) not in (key, *self._ready)]
            self._run([point, *others[: MOST_AT_ONCE - 1]])
        return self._ready.pop(key)

    def _run(self, points: list[Point]) -> None:
        settings = [with_hyperparameters(self._setting, point) for point in points]
        task = Task(
            method=self._setting.method,
            hyperparameters=None,
            examples=self._examples,
            test_curve=False,
        )
        hyperparameters = [setting.hyperparameters for setting in settings]

        run = delayed(_run_or_leave)
        of_splits = Parallel(n_jobs=self._workers)(
            run(task, split, hyperparameters) for split in self._setting.plan.splits
        )
        for i, point in enumerate(points):
            self._ready[point_key(point)] = {
                results[i].split_id: results[i] for results in of_splits if results
            }


def _run_or_leave(task: Task, split: Split, hyperparameters: list[Any]) -> list[FoldResult]:
    try:
        return run_fold_of_settings(task, split, hyperparameters)
    except Exception:  # the trial runs the fold by itself, and reports the error
        return []
