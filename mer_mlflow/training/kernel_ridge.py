"""Kernel ridge regression on values from several sources, with leave-one-out in closed form.

Each source has an RBF kernel of the mean squared distance of its values, and the kernel is their
mean. Machines with an unpenalised bias separate each quadrant from the others. What they would
decide on a training clip without having seen it follows from the fit itself, so that width, penalty
and the temperature of probabilities need no folds within the training set.

References
----------
M. Gönen, E. Alpaydın, "Multiple kernel learning algorithms", Journal of Machine Learning Research
12, 2011.
S. An, W. Liu, S. Venkatesh, "Fast cross-validation algorithms for least squares support vector
machine and kernel ridge regression", Pattern Recognition 40(8), 2007.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics.pairwise import euclidean_distances
from sklearn.pipeline import Pipeline

from mer_mlflow.representations import Examples
from mer_mlflow.training.estimators import FittedEstimator
from mer_mlflow.training.kernel_svm import Temperature, quick_checks
from mer_mlflow.training.requirements import fewest_clips
from mer_mlflow.training.source_kernels import FittedBlocks, Layout, WeighedBlocks

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


class MeanKernel(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer from scaled values to their mean kernel with each training clip.

    Parameters
    ----------
    sizes : number of values of each source, in order
    width : float > 0, width of the kernels
    """

    def __init__(self, sizes: tuple[int, ...] = (), width: float = 1.0) -> None:
        self.sizes = sizes
        self.width = width

    def fit(self, X: Values, y: object = None) -> Self:
        """Store the scaled values of the training clips [shape=(n_clips, n_values)]."""
        self.rows_ = X
        return self

    def transform(self, X: Values) -> Values:
        """Compute the kernel of clips and training clips [shape=(n_clips, n_training_clips)]."""
        return mean_kernel(distances(X, self.rows_, sizes=self.sizes), width=self.width)


class RidgeMachines(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Scikit-learn transformer from kernels with the training clips to decision values.

    Parameters
    ----------
    penalty : float > 0, added to the diagonal of the kernel
    """

    def __init__(self, penalty: float = 0.1) -> None:
        self.penalty = penalty

    def fit(self, X: Values, y: NDArray[np.int64]) -> Self:
        """Fit a machine for each class.

        Parameters
        ----------
        X : kernel of the training clips [shape=(n_clips, n_clips)]
        y : their classes [shape=(n_clips,)]
        """
        inverse, targets = inverted(eigh(X), penalty=self.penalty), one_against_others(y)
        self.coefficients_ = inverse @ targets
        self.bias_ = (targets - X @ self.coefficients_).mean(axis=0)
        return self

    def transform(self, X: Values) -> Values:
        """Compute decision values [shape=(n_clips, n_classes)]."""
        decisions: Values = X @ self.coefficients_ + self.bias_
        return decisions


def fit_kernels(train: Examples, *, layout: Layout, ridges: Sequence[Ridge]) -> FittedBlocks:
    """Fit scaling, machines, and the temperature of their probabilities.

    Parameters
    ----------
    train : training examples, with one input per source
    layout : order of their values
    ridges : hyperparameters; of several, those are used that decide best on left-out clips

    Raises
    ------
    DatasetError
        If a quadrant has fewer than two training clips.
    """
    fewest_clips(train.labels, fewest=2, needed_by="embedding_kernels")
    sources = layout.arrays(train)
    blocks = [block for source in sources for block in source]
    weights = tuple(1 / len(source) for source in sources for _ in source)
    sizes = tuple(sum(block.shape[1] for block in source) for source in sources)
    scaler = WeighedBlocks(tuple(block.shape[1] for block in blocks), weights)
    recordings = train.positions if train.sources is None else train.sources
    with quick_checks():
        rows = scaler.fit_transform(np.concatenate(blocks, axis=1))
        between = distances(rows, rows, sizes=sizes)
        ridge, left_out = min(
            _left_out(between, train.labels, recordings, ridges=ridges),
            key=lambda each: squared_error(each[1], train.labels),
        )
        machines = RidgeMachines(ridge.penalty)
        machines.fit(mean_kernel(between, width=ridge.width), train.labels)
    steps = [
        ("blocks", scaler),
        ("kernel", MeanKernel(sizes, ridge.width).fit(rows)),
        ("decisions", machines),
        ("temperature", Temperature().fit(left_out, train.labels)),
    ]
    return FittedBlocks(estimator=FittedEstimator(estimator=Pipeline(steps)), layout=layout)


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


def mean_kernel(between: Values, *, width: float) -> Values:
    """Compute the mean kernel of all sources [shape=(n_clips, n_other_clips)].

    Parameters
    ----------
    between : squared distances [shape=(n_sources, n_clips, n_other_clips)]
    width : float > 0
    """
    kernel: Values = np.exp(-0.5 * between / width**2).mean(axis=0)
    return kernel


def one_against_others(labels: NDArray[np.int64]) -> Values:
    """Return 1 for a clip's class and -1 for the others [shape=(n_clips, n_classes)]."""
    return np.where(labels[:, np.newaxis] == np.unique(labels), 1.0, -1.0)


def inverted(eigen: tuple[Values, Values], *, penalty: float) -> Values:
    """Return the matrix from targets to coefficients of machines with an unpenalised bias.

    Parameters
    ----------
    eigen : eigenvalues and eigenvectors of the kernel of the training clips
    penalty : float > 0

    Returns
    -------
    matrix of rank n_clips - 1: coefficients sum to zero [shape=(n_clips, n_clips)]
    """
    eigenvalues, vectors = eigen
    inverse = vectors / (np.maximum(eigenvalues, 0.0) + penalty) @ vectors.T
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


def squared_error(decisions: Values, labels: NDArray[np.int64]) -> float:
    """Return the mean squared error of decision values [shape=(n_clips, n_classes)]."""
    return float(np.mean((decisions - one_against_others(labels)) ** 2))


def _left_out(
    between: Values,
    labels: NDArray[np.int64],
    recordings: NDArray[np.int64],
    *,
    ridges: Sequence[Ridge],
) -> Iterator[tuple[Ridge, Values]]:
    """Yield each setting and its decision values of left-out clips."""
    targets = one_against_others(labels)
    for width, of_width in itertools.groupby(ridges, key=lambda ridge: ridge.width):
        inverse = partial(inverted, eigh(mean_kernel(between, width=width)))
        for ridge in of_width:
            yield ridge, leave_out(inverse(penalty=ridge.penalty), targets, recordings)
