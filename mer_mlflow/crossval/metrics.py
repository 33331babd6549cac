"""Scores of predictions, and their summary over the folds of a repeated cross-validation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS

HIGH_AROUSAL = np.array([True, True, False, False])
POSITIVE_VALENCE = np.array([True, False, False, True])
LEVEL = 0.95
"""Confidence of the intervals."""

SCORES = (
    "precision_macro",
    "recall_macro",
    "f1_macro",
    "precision_weighted",
    "recall_weighted",
    "f1_weighted",
    "accuracy",
    *(f"f1_{quadrant.lower()}" for quadrant in QUADRANTS),
    "arousal_accuracy",
    "valence_accuracy",
)
"""Names of the scores, in the order of tables."""
OBJECTIVE = "f1_macro"
"""Score by which searches choose and leaderboards order."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A score over folds.

    Attributes
    ----------
    mean, std : over the folds; ``std`` has n - 1 in its denominator and is NaN for one fold
    low, high : corrected confidence interval of the mean
    n_folds : number of folds
    """

    mean: float
    std: float
    low: float
    high: float
    n_folds: int

    @property
    def has_interval(self) -> bool:
        """Whether there is an interval: not for one fold, or if all splits test the same clips."""
        return not math.isnan(self.low)

    @property
    def bounds(self) -> tuple[float, float]:
        """Confidence interval within 0 to 1, the range of a score; NaN if there is none."""
        return float(np.clip(self.low, 0.0, 1.0)), float(np.clip(self.high, 0.0, 1.0))


def with_interval(summary: Summary) -> str:
    """Return a mean with its interval in per cent, such as ``75.81% [72.60%, 79.02%]``."""
    low, high = summary.bounds
    interval = f" [{low:.2%}, {high:.2%}]" if summary.has_interval else ""
    return f"{summary.mean:.2%}{interval}"


def score(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> dict[str, float]:
    """Score predicted quadrants.

    Parameters
    ----------
    true, predicted : labels, 0 to 3 [shape=(n_clips,)]

    Returns
    -------
    value of each of ``SCORES``, 0 to 1. A quadrant that is never predicted has precision 0
    """
    counts = confusion_counts(true, predicted)
    return {name: float(values[0]) for name, values in scores_of_counts(counts[None]).items()}


def confusion_counts(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count clips by true (rows) and predicted quadrant (columns) [shape=(4, 4)].

    Parameters
    ----------
    true, predicted : labels, 0 to 3 [shape=(n_clips,)]
    """
    n = len(QUADRANTS)
    return np.bincount(n * true + predicted, minlength=n * n).reshape(n, n)


def scores_of_counts(counts: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    """Score confusion matrices.

    Parameters
    ----------
    counts : clips by true and predicted quadrant [shape=(n_matrices, 4, 4)]

    Returns
    -------
    values of each of ``SCORES``, 0 to 1 [shape=(n_matrices,)]
    """
    right = np.einsum("nqq->nq", counts)
    true, predicted, total = counts.sum(axis=2), counts.sum(axis=1), counts.sum(axis=(1, 2))
    measures = {
        "precision": _shares(right, predicted),
        "recall": _shares(right, true),
        "f1": _shares(2 * right, true + predicted),
    }
    values = {f"{name}_macro": each.mean(axis=1) for name, each in measures.items()}
    values |= {
        f"{name}_weighted": (each * true).sum(axis=1) / np.maximum(total, 1)
        for name, each in measures.items()
    }
    values |= {f"f1_{name.lower()}": measures["f1"][:, k] for k, name in enumerate(QUADRANTS)}
    values["accuracy"] = _shares(right.sum(axis=1), total)
    for name, side in (("arousal", HIGH_AROUSAL), ("valence", POSITIVE_VALENCE)):
        agrees = side[:, None] == side[None, :]
        values[f"{name}_accuracy"] = _shares((counts * agrees).sum(axis=(1, 2)), total)
    return {name: values[name] for name in SCORES}


def _shares(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    shares = np.zeros(part.shape)
    return np.divide(part, whole, out=shares, where=whole > 0)


def corrected_standard_error(values: NDArray[np.float64], *, test_share: float | None) -> float:
    """Standard error of the mean over the folds of a repeated cross-validation.

    Folds overlap, so the variance of their mean is larger than for independent samples: it is the
    variance of a fold times 1 / n + n_test / n_train.

    Parameters
    ----------
    values : score of each fold, or difference of two scores [shape=(n_folds,)]
    test_share : clips tested per clip trained on, 1 / 9 for ten folds; None where all splits test
        the same clips

    Returns
    -------
    in the unit of ``values``; 0 where all folds are equal, NaN for one fold or without a share

    References
    ----------
    C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    R. R. Bouckaert, E. Frank, "Evaluating the replicability of significance tests for comparing
    learning algorithms", PAKDD 2004.
    """
    if len(values) < 2 or test_share is None:
        return math.nan
    if np.ptp(values) == 0:  # the rounded mean of equal values can miss them by a little
        return 0.0
    return float(np.std(values, ddof=1)) * math.sqrt(1 / len(values) + test_share)


def summarise(values: NDArray[np.float64], *, test_share: float | None) -> Summary:
    """Summarise a score over the folds of a repeated cross-validation.

    The interval is Student's, with the corrected standard error.

    Parameters
    ----------
    values : score of each fold [shape=(n_folds,)]
    test_share : clips tested per clip trained on, 1 / 9 for ten folds; None where all splits test
        the same clips, which gives no interval
    """
    import scipy.stats

    n_folds = len(values)
    mean = float(np.mean(values))
    std = float(np.std(values, ddof=1)) if n_folds > 1 else math.nan
    quantile = float(scipy.stats.t.ppf((1 + LEVEL) / 2, n_folds - 1))
    half = quantile * corrected_standard_error(values, test_share=test_share)
    return Summary(mean=mean, std=std, low=mean - half, high=mean + half, n_folds=n_folds)
