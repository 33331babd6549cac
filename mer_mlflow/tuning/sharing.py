"""Folds of a search's next points, run before the trials that they belong to.

A search evaluates one point after the other, but its next points are mostly known. Where fits of a
method share work, the points are therefore fitted together, fold by fold.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping

from mer_mlflow.crossval.executors import Executor, FoldEvent, FoldFinished
from mer_mlflow.crossval.jobs import FoldResult, Job, batched
from mer_mlflow.crossval.setting import Setting, task_of, with_hyperparameters
from mer_mlflow.errors import UntrainableError
from mer_mlflow.representations import Examples
from mer_mlflow.tuning.space import Point, point_key

MOST_AT_ONCE = 40
"""Points that are fitted together: processes on one study may each fit some of the same points."""


class FoldsAhead:
    """Results of the folds of a search's next points.

    Parameters
    ----------
    setting : of any point of the search
    examples : the setting's inputs of all clips
    executor : runs the folds
    """

    def __init__(self, setting: Setting, examples: Examples, *, executor: Executor) -> None:
        self._setting = setting
        self._task = task_of(setting, examples)
        self._executor = executor
        self._ready: dict[str, dict[str, FoldResult]] = {}

    def take(self, point: Point, upcoming: Callable[[], list[Point]]) -> Mapping[str, FoldResult]:
        """Results of a point's folds by split id; those of folds that fail are left out.

        They are in the order of the plan, whichever fold ended first.

        Parameters
        ----------
        point : whose folds are needed now
        upcoming : gives the points that are likely to be needed next
        """
        key = point_key(point)
        if key not in self._ready:
            others = [other for other in upcoming() if point_key(other) not in (key, *self._ready)]
            self._run([point, *others[: MOST_AT_ONCE - 1]])
        ready = self._ready.pop(key)
        ids = (split.id for split in self._setting.plan.splits)
        return {split_id: ready[split_id] for split_id in ids if split_id in ready}

    def _run(self, points: list[Point]) -> None:
        settings = [with_hyperparameters(self._setting, point).hyperparameters for point in points]
        batches = [
            batch
            for split in self._setting.plan.splits
            for batch in batched(self._setting.method, split, settings)
        ]
        keys: dict[Job, str] = {
            job: point_key(points[i % len(points)])
            for i, job in enumerate(job for batch in batches for job in batch)
        }
        self._ready.update({point_key(point): {} for point in points})

        def on_event(event: FoldEvent) -> None:
            if isinstance(event, FoldFinished):
                self._ready[keys[event.job]][event.result.split_id] = event.result

        with contextlib.suppress(UntrainableError):  # its trial reports the error
            self._executor.run(self._task, batches, on_event=on_event)
