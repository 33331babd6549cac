"""Nested selection: hyperparameters are chosen within each training set, by inner folds.

The clips that a fold tests take no part in the choice, so the scores are those of the whole
procedure, search included, and not optimistic.

References
----------
S. Varma, R. Simon, "Bias in error estimation when using cross-validation for model selection",
BMC Bioinformatics 7, 2006.
G. C. Cawley, N. L. C. Talbot, "On over-fitting in model selection and subsequent selection bias in
performance evaluation", Journal of Machine Learning Research 11, 2010.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.crossval.jobs import Task, batched, run_jobs
from mer_mlflow.crossval.metrics import score
from mer_mlflow.crossval.splits import Split
from mer_mlflow.errors import DivergenceError, ParameterError
from mer_mlflow.representations import Examples
from mer_mlflow.training import Method
from mer_mlflow.tuning.space import Point, SearchSpace, point_key
from mer_mlflow.tuning.strategies import STRATEGIES

N_SPLITS = 5
"""Folds inside a training set."""


@dataclass(frozen=True, kw_only=True)
class InnerSearch:
    """A search inside each training set.

    Attributes
    ----------
    strategy : one of ``STRATEGIES``
    space : values by hyperparameter
    start : point that a neighbour search begins at
    n_splits : folds inside a training set
    """

    strategy: str
    space: SearchSpace
    start: Point
    n_splits: int = N_SPLITS

    @property
    def facts(self) -> dict[str, str]:
        """What is searched, as text."""
        found = {name: ", ".join(map(str, values)) for name, values in self.space.items()}
        return {
            "strategy": self.strategy,
            "inner_folds": str(self.n_splits),
            "start": point_key(self.start),
            **{f"space.{name}": values for name, values in found.items()},
        }

    @property
    def names(self) -> tuple[str, ...]:
        """Hyperparameters that are searched."""
        return tuple(self.space)

    def require_clips(self, method: Method, labels: NDArray[np.int64]) -> None:
        """Make sure that there are enough training clips of each quadrant.

        Parameters
        ----------
        method : the methodology
        labels : quadrants of the training clips [shape=(n_clips,)]

        Raises
        ------
        MerError
            If a quadrant has fewer than there are inner folds, or they leave the methodology too
            few.
        """
        quadrants, counts = np.unique(labels, return_counts=True)
        if counts.min() < self.n_splits:
            raise ParameterError(
                f"nested: a quadrant has {counts.min()} training clips, fewer than the "
                f"{self.n_splits} inner folds"
            )
        if method.require_clips is not None:
            largest_part = -(-counts // self.n_splits)
            method.require_clips(np.repeat(quadrants, counts - largest_part))

    def choose(self, method: Method, hyperparameters: Any, train: Examples, seed: int) -> Point:
        """Choose hyperparameters by the mean macro F1 over folds of the training examples.

        A setting whose training diverges scores 0 in that fold.

        Parameters
        ----------
        method : the methodology
        hyperparameters : resolved; those that are searched are replaced
        train : training examples
        seed : of the inner folds and trainings

        Raises
        ------
        MerError
            If there are too few training clips of a quadrant.
        """
        recordings = train.recordings()
        self.require_clips(method, recordings.labels)
        task = Task(method=method, examples=train, only_quadrants=True)
        splits = _inner_splits(recordings, self.n_splits, seed)
        done: dict[str, float] = {}
        points: dict[str, Point] = {}
        while wanted := STRATEGIES[self.strategy](self.space, self.start, done):
            settings = [replace(hyperparameters, **point) for point in wanted]
            means = np.mean([_scores(task, split, settings) for split in splits], axis=0)
            for point, mean in zip(wanted, means, strict=True):
                done[point_key(point)], points[point_key(point)] = float(mean), point
        return points[max(done, key=lambda key: done[key])]


def _inner_splits(recordings: Examples, n_splits: int, seed: int) -> list[Split]:
    from sklearn.model_selection import StratifiedKFold

    clips = recordings.positions
    folds = StratifiedKFold(n_splits, shuffle=True, random_state=seed)
    return [
        Split(repeat=1, fold=i, train=clips[train], test=clips[test], seed=seed)
        for i, (train, test) in enumerate(folds.split(clips, recordings.labels), start=1)
    ]


def _scores(task: Task, split: Split, settings: Sequence[Any]) -> list[float]:
    """Macro F1 of each setting on one inner split; 0 where its training diverged."""
    scores = []
    for batch in batched(task.method, split, settings):
        try:
            results = run_jobs(task, batch)
        except DivergenceError:
            scores += [0.0] * len(batch)
        else:
            scores += [score(each.true, each.prediction.quadrants)["f1_macro"] for each in results]
    return scores
