"""Matrix of scores: methods and training datasets by test datasets, with two kinds of intervals.

The interval over folds is that of ``corrected_standard_error``, with the share of a fold's own test
clips: it covers the choice of training clips. All models predict the same clips of another dataset,
so it does not cover the choice of these clips. The interval over songs does: it is a percentile
bootstrap, in which all clips of an artist are drawn together, or one clip if no artist is known.

References
----------
B. Efron, R. J. Tibshirani, "An Introduction to the Bootstrap", Chapman & Hall, 1993.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.crossval.metrics import LEVEL, scores_of_counts, summarise
from mer_mlflow.crossval.splits import is_fixed
from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.transfer.evaluation import Transfer

SCORES = ("f1_macro", "arousal_accuracy", "valence_accuracy")
"""Scores of the matrix."""
N_DRAWS = 1000
"""Number of bootstrap samples."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Predictions of one dataset's clips by the models of one cross-validation.

    Attributes
    ----------
    method, train, test : names of the methodology and of the datasets
    n_train, n_test : clips of the datasets, without those left out
    left_out_train, left_out_test : number of clips left out, because both datasets have them
    counts : clips by true and predicted quadrant, by artist and fold
        [shape=(n_artists, n_folds, 4, 4)]
    test_share : ratio of a fold's own test clips to its training clips, None if all folds have the
        same
    """

    method: str
    train: str
    test: str
    n_train: int
    n_test: int
    left_out_train: int
    left_out_test: int
    counts: NDArray[np.int64]
    test_share: float | None

    def rows(self, *, seed: int = 0) -> list[dict[str, Any]]:
        """Return a row of the table for each score.

        Parameters
        ----------
        seed : seed of the bootstrap
        """
        by_fold = scores_of_counts(self.counts.sum(axis=0))
        by_songs = bootstrap(self.counts, seed=seed)
        return [self._row(name, by_fold[name], by_songs[name]) for name in SCORES]

    def _row(
        self, name: str, by_fold: NDArray[np.float64], by_songs: tuple[float, float]
    ) -> dict[str, Any]:
        summary = summarise(by_fold, test_share=self.test_share)
        return {
            "method": self.method,
            "train": self.train,
            "test": self.test,
            "score": name,
            "mean": summary.mean,
            "std": summary.std,
            "folds_low": summary.low,
            "folds_high": summary.high,
            "songs_low": by_songs[0],
            "songs_high": by_songs[1],
            "n_folds": summary.n_folds,
            "n_train": self.n_train,
            "n_test": self.n_test,
            "left_out_train": self.left_out_train,
            "left_out_test": self.left_out_test,
        }


def cells(
    transfer: Transfer, *, left_out_train: int, left_out_test: Mapping[str, int]
) -> list[Cell]:
    """Return the cells of a cross-validation: its own test clips, and each other dataset.

    Parameters
    ----------
    transfer : predictions of its models
    left_out_train : number of clips that were left out of the training dataset
    left_out_test : number of clips that were left out of each other dataset
    """
    setting = transfer.setting
    clips, plan = setting.clips, setting.plan
    tested = [(clips, [split.test for split in plan.splits], transfer.own)]
    for other, predicted in zip(transfer.others, transfer.predicted, strict=True):
        everything = np.arange(len(other))
        tested.append((other, [everything] * len(predicted), tuple(predicted)))
    return [
        Cell(
            method=setting.method.name,
            train=clips.name,
            test=other.name,
            n_train=len(clips),
            n_test=len(other),
            left_out_train=left_out_train,
            left_out_test=left_out_test.get(other.name, 0),
            counts=artist_counts(other, positions, predicted),
            test_share=None if is_fixed(plan.protocol) else plan.test_share,
        )
        for other, positions, predicted in tested
    ]


def artist_counts(
    clips: Clips, positions: Sequence[NDArray[np.int64]], predicted: Sequence[NDArray[np.int64]]
) -> NDArray[np.int64]:
    """Count predictions.

    Parameters
    ----------
    clips : the clips
    positions : clips that each fold predicts [n_folds]
    predicted : labels that it predicts for them [n_folds]

    Returns
    -------
    clips by true and predicted quadrant, by artist and fold [shape=(n_artists, n_folds, 4, 4)]; a
    clip without a known artist counts as one
    """
    names = [artist or (clip,) for clip, artist in zip(clips.ids, clips.artists, strict=True)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    groups = np.array([numbers[name] for name in names])
    shape = (len(numbers), len(positions), len(QUADRANTS), len(QUADRANTS))
    counts = np.zeros(shape, dtype=np.int64)
    for fold, (tested, labels) in enumerate(zip(positions, predicted, strict=True)):
        np.add.at(counts[:, fold], (groups[tested], clips.quadrants[tested], labels), 1)
    return counts


def bootstrap(
    counts: NDArray[np.int64], *, seed: int = 0, n_draws: int = N_DRAWS
) -> dict[str, tuple[float, float]]:
    """Compute percentile intervals of scores, averaged over folds, over random sets of artists.

    Parameters
    ----------
    counts : clips by true and predicted quadrant, by artist and fold
        [shape=(n_artists, n_folds, 4, 4)]
    seed : int >= 0, seed of the draws
    n_draws : int > 0, number of draws of as many artists, with replacement

    Returns
    -------
    lower and upper limit of each of ``SCORES``
    """
    n_artists, n_folds = counts.shape[:2]
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n_artists, np.full(n_artists, 1 / n_artists), size=n_draws)
    # exact below 2**53; NumPy multiplies integers without BLAS
    sums = drawn.astype(np.float64) @ counts.reshape(n_artists, -1).astype(np.float64)
    resampled = sums.astype(np.int64).reshape(-1, *counts.shape[2:])
    scores = scores_of_counts(resampled)
    limits = (100 * (1 - LEVEL) / 2, 100 * (1 + LEVEL) / 2)
    intervals = {}
    for name in SCORES:
        low, high = np.percentile(scores[name].reshape(n_draws, n_folds).mean(axis=1), limits)
        intervals[name] = (float(low), float(high))
    return intervals


def matrix_table(found: Sequence[Cell], *, seed: int = 0) -> pd.DataFrame:
    """Return a table with a row for each cell and score.

    Parameters
    ----------
    found : the cells
    seed : seed of the bootstrap
    """
    return pd.DataFrame([row for cell in found for row in cell.rows(seed=seed)])
