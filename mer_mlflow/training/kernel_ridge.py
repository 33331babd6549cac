"""Kernel ridge regression on values from several sources, with leave-one-out in closed form.

Each source has an RBF kernel of the mean squared distance of its values. Machines with an
unpenalised bias separate each quadrant from the others: on the mean of the kernels and, for
stacking, on the kernel of each source. What they would decide on a training clip without having
seen it follows from the fit itself, so that width, penalty, the combination of machines and the
temperature of probabilities need no folds within the training set.

References
----------
M. Gönen, E. Alpaydın, "Multiple kernel learning algorithms", Journal of Machine Learning Research
12, 2011.
D. H. Wolpert, "Stacked generalization", Neural Networks 5(2), 1992.
S. An, W. Liu, S. Venkatesh, "Fast cross-validation algorithms for least squares support vector
machine and kernel ridge regression", Pattern Recognition 40(8), 2007.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.pipeline import Pipeline

from mer_mlflow.representations import Examples
from mer_mlflow.training.estimators import FittedEstimator
from mer_mlflow.training.kernel_svm import DecisionValues, Temperature, quick_checks
from mer_mlflow.training.requirements import fewest_clips
from mer_mlflow.training.source_kernels import FittedBlocks, Layout, WeighedBlocks

STACKING_C = 0.01
"""Inverse penalty of the logistic regression that combines decisions; of 0.003, 0.01 and 0.03 none
was clearly better than the others."""

Values = NDArray[np.floating]


@dataclass(frozen=True, kw_only=True)
class Ridge:
    """Hyperparameters of the machines.

    Attributes
    ----------
    width : float > 0, width of the kernels of distances with mean 1
    penalty : float > 0, added to the diagonal of the kernel
    """

    width: float
    penalty: float


class RidgeMachines(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer from scaled values to decision values.

    Parameters
    ----------
    sizes : number of values of each source, in order
    means : weights of the sources in each kernel that has machines
    width : float > 0, width of the kernels
    penalty : float > 0, added to the diagonal of each kernel
    """

    def __init__(
        self,
        sizes: tuple[int, ...] = (),
        means: tuple[tuple[float, ...], ...] = (),
        width: float = 1.0,
        penalty: float = 0.1,
    ) -> None:
        self.sizes = sizes
        self.means = means
        self.width = width
        self.penalty = penalty

    def fit(self, X: Values, y: NDArray[np.int64]) -> Self:
        """Fit a machine for each kernel and class.

        Parameters
        ----------
        X : scaled values of the training clips [shape=(n_clips, n_values)]
        y : their classes [shape=(n_clips,)]
        """
        self.rows_, targets = X, one_against_others(y)
        coefficients, biases = [], []
        for kernel in self._kernels(X):
            coefficients.append(inverted(kernel, penalty=self.penalty) @ targets)
            biases.append((targets - kernel @ coefficients[-1]).mean(axis=0))
        self.coefficients_, self.biases_ = np.stack(coefficients), np.stack(biases)
        return self

    def transform(self, X: Values) -> Values:
        """Compute decision values [shape=(n_clips, n_kernels * n_classes)]."""
        fitted = zip(self._kernels(X), self.coefficients_, self.biases_, strict=True)
        return np.concatenate([kernel @ each + bias for kernel, each, bias in fitted], axis=1)

    def _kernels(self, X: Values) -> list[Values]:
        of_sources = kernels(distances(X, self.rows_, sizes=self.sizes), width=self.width)
        return [mean_kernel(of_sources, weights=weights) for weights in self.means]


def fit_kernels(
    train: Examples, *, layout: Layout, ridges: Sequence[Ridge], stacks: bool
) -> FittedBlocks:
    """Fit scaling, machines, their combination, and the temperature of their probabilities.

    Parameters
    ----------
    train : training examples, with one input per source
    layout : order of their values
    ridges : hyperparameters; of several, those are used that have the lowest squared error on
        left-out clips with the mean kernel
    stacks : whether, if there are several sources, machines on the kernel of each are fitted too,
        and a logistic regression on decisions on left-out clips combines all

    Raises
    ------
    DatasetError
        If a quadrant has fewer than two training clips.
    """
    fewest_clips(train.labels, fewest=2, needed_by="embedding_kernels")
    sources = layout.arrays(train)
    blocks = [block for source in sources for block in source]
    shares = tuple(1 / len(source) for source in sources for _ in source)
    sizes = tuple(sum(block.shape[1] for block in source) for source in sources)
    scaler = WeighedBlocks(tuple(block.shape[1] for block in blocks), shares)
    with quick_checks():
        rows = scaler.fit_transform(np.concatenate(blocks, axis=1))
        left_out = LeftOut.of(train, distances(rows, rows, sizes=sizes))
        ridge = min(ridges, key=left_out.error) if len(ridges) > 1 else ridges[0]
        stacks = stacks and len(sizes) > 1
        means = weights_of_kernels(len(sizes), stacks=stacks)
        machines = RidgeMachines(sizes, means, ridge.width, ridge.penalty).fit(rows, train.labels)
        decisions = np.concatenate([left_out.decisions(ridge, each) for each in means], axis=1)
        steps: list[tuple[str, Any]] = [("blocks", scaler), ("machines", machines)]
        if stacks:
            logistic = LogisticRegression(C=STACKING_C, class_weight="balanced", max_iter=1000)
            steps.append(("stacking", DecisionValues(logistic.fit(decisions, train.labels))))
            decisions = steps[-1][1].transform(decisions)
        steps.append(("temperature", Temperature().fit(decisions, train.labels)))
    return FittedBlocks(estimator=FittedEstimator(estimator=Pipeline(steps)), layout=layout)


def weights_of_kernels(n_sources: int, *, stacks: bool) -> tuple[tuple[float, ...], ...]:
    """Return weights of sources in the mean kernel and, for stacking, in the kernel of each."""
    alone = tuple(tuple(row) for row in np.eye(n_sources).tolist())
    return ((1.0,) * n_sources, *(alone if stacks else ()))


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """Decisions on training clips by machines that were fitted without them.

    Attributes
    ----------
    between : squared distances of the training clips [shape=(n_sources, n_clips, n_clips)]
    targets : see :func:`one_against_others` [shape=(n_clips, n_classes)]
    recordings : number of the recording of each clip, which is left out with its copies
        [shape=(n_clips,)]
    """

    between: Values
    targets: Values
    recordings: NDArray[np.int64]

    @classmethod
    def of(cls, train: Examples, between: Values) -> Self:
        """Return those of training examples."""
        recordings = train.positions if train.sources is None else train.sources
        targets = one_against_others(train.labels)
        return cls(between=between, targets=targets, recordings=recordings)

    def decisions(self, ridge: Ridge, weights: tuple[float, ...]) -> Values:
        """Compute decision values of left-out clips [shape=(n_clips, n_classes)]."""
        kernel = mean_kernel(kernels(self.between, width=ridge.width), weights=weights)
        return leave_out(inverted(kernel, penalty=ridge.penalty), self.targets, self.recordings)

    def error(self, ridge: Ridge) -> float:
        """Compute the mean squared error of decision values with the mean kernel."""
        errors = self.decisions(ridge, (1.0,) * len(self.between)) - self.targets
        return float(np.mean(errors**2))


def distances(one: Values, other: Values, *, sizes: tuple[int, ...]) -> Values:
    """Compute squared distances in each source [shape=(n_sources, n_clips, n_other_clips)].

    Parameters
    ----------
    one, other : values scaled by :class:`WeighedBlocks`, so that the mean distance of two training
        clips is 1 in each source [shape=(n_clips, n_values)]
    sizes : number of values of each source
    """
    ends = np.cumsum(sizes)[:-1]
    parts = zip(np.split(one, ends, axis=1), np.split(other, ends, axis=1), strict=True)
    return np.stack([euclidean_distances(*pair, squared=True) / 2 for pair in parts])


def kernels(between: Values, *, width: float) -> Values:
    """Compute the kernel of each source [shape=(n_sources, n_clips, n_other_clips)].

    Parameters
    ----------
    between : squared distances [shape=(n_sources, n_clips, n_other_clips)]
    width : float > 0
    """
    of_sources: Values = np.exp(-0.5 * between / width**2)
    return of_sources


def mean_kernel(of_sources: Values, *, weights: tuple[float, ...]) -> Values:
    """Compute the weighted mean of kernels [shape=(n_clips, n_other_clips)].

    Parameters
    ----------
    of_sources : kernels [shape=(n_sources, n_clips, n_other_clips)]
    weights : weight of each source, relative to the others
    """
    mean: Values = np.average(of_sources, axis=0, weights=weights)
    return mean


def one_against_others(labels: NDArray[np.int64]) -> Values:
    """Return 1 for a clip's class and -1 for the others [shape=(n_clips, n_classes)]."""
    return np.where(labels[:, np.newaxis] == np.unique(labels), 1.0, -1.0)


def inverted(kernel: Values, *, penalty: float) -> Values:
    """Return the matrix from targets to coefficients of machines with an unpenalised bias.

    Parameters
    ----------
    kernel : kernel of the training clips [shape=(n_clips, n_clips)]
    penalty : float > 0

    Returns
    -------
    matrix of rank n_clips - 1: coefficients sum to zero [shape=(n_clips, n_clips)]
    """
    inverse = np.linalg.inv(kernel + penalty * np.eye(len(kernel)))
    of_ones = inverse.sum(axis=1)
    without_bias: Values = inverse - np.outer(of_ones, of_ones) / of_ones.sum()
    return without_bias


def leave_out(inverse: Values, targets: Values, recordings: NDArray[np.int64]) -> Values:
    """Compute what machines decide that were fitted without a recording and its copies.

    Parameters
    ----------
    inverse : matrix of :func:`inverted`
    targets : [shape=(n_clips, n_classes)]
    recordings : number of the recording of each clip [shape=(n_clips,)]

    Returns
    -------
    decision values [shape=(n_clips, n_classes)]
    """
    coefficients, decisions = inverse @ targets, np.empty_like(targets)
    for recording in np.unique(recordings):
        rows = np.flatnonzero(recordings == recording)
        errors = np.linalg.solve(inverse[np.ix_(rows, rows)], coefficients[rows])
        decisions[rows] = targets[rows] - errors
    return decisions
