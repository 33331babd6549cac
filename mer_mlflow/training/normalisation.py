"""Selection and standardisation of a network's input, fitted to the training clips."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations import Examples
from mer_mlflow.training.steps import PREDICT_BATCH, batches

NEGLIGIBLE = 1e-6
"""Deviation, relative to the mean, below which a feature counts as constant."""


def most_relevant(train: Examples, n_features: int | None) -> NDArray[np.int64]:
    """Choose the most relevant features of the training clips.

    Parameters
    ----------
    train : training examples, whose first input is a table where features are to be chosen
    n_features : int >= 1, features that are kept, None for all values of any input

    Returns
    -------
    columns that are kept [shape=(n_kept,)], empty for all
    """
    if n_features is None:
        return np.array([], dtype=np.int64)
    from mer_mlflow.training.feature_selection import MostRelevant

    selection = MostRelevant(n_features=n_features).fit(train.read(0), train.labels)
    columns: NDArray[np.int64] = selection.get_support(indices=True)
    return columns


def statistics(
    train: Examples, columns: NDArray[np.int64], *, by_feature: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Mean and standard deviation of the training clips' first input.

    They are updated batch by batch; differences of large sums would lose digits.

    Parameters
    ----------
    train : training examples
    columns : features that are read [shape=(n_kept,)], empty for all values
    by_feature : whether each feature is standardised by itself, or all values together

    Returns
    -------
    mean, scale : numbers, or one a feature [shape=(n_kept,)]; a constant feature has scale 1

    References
    ----------
    T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance: analysis
    and recommendations", The American Statistician 37(3), 1983.
    """
    n_read, mean, squares = 0, np.float64(0), np.float64(0)
    for batch in batches(np.arange(len(train)), PREDICT_BATCH):
        values = _selected(train.read(0, batch), columns).astype(np.float64)
        if not by_feature:
            values = values.ravel()
        n_batch, batch_mean = len(values), values.mean(axis=0)
        apart = batch_mean - mean
        mean = mean + apart * n_batch / (n_read + n_batch)
        squares = squares + np.square(values - batch_mean).sum(axis=0)
        squares = squares + np.square(apart) * n_read * n_batch / (n_read + n_batch)
        n_read += n_batch
    scale = np.sqrt(squares / n_read)
    safe = np.where(scale > NEGLIGIBLE * np.abs(mean), scale, 1.0)
    return np.asarray(mean, dtype=np.float32), np.asarray(safe, dtype=np.float32)


def standardised(
    values: NDArray[Any],
    columns: NDArray[np.int64],
    mean: NDArray[np.float32],
    scale: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Standardise clips by the statistics of the training clips.

    Parameters
    ----------
    values : of each clip [shape=(n_clips, ...)]
    columns : features that are read [shape=(n_kept,)], empty for all values
    mean, scale : from :func:`statistics`
    """
    result: NDArray[np.float32] = (_selected(values, columns).astype(np.float32) - mean) / scale
    return result


def _selected(values: NDArray[Any], columns: NDArray[np.int64]) -> NDArray[Any]:
    return values[:, columns] if len(columns) else values
