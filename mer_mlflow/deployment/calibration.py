"""Calibration: whether a probability of 70 % is right in 70 % of cases, and a correction if not.

References
----------
C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On calibration of modern neural networks", ICML 2017.
G. W. Brier, "Verification of forecasts expressed in terms of probability", Monthly Weather Review
78(1), 1950.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS

N_BINS = 15
"""Number of bins of the expected calibration error, as in Guo et al."""
SMALLEST = 1e-12
"""Smallest probability in a logarithm."""
BOUNDS = (0.25, 8.0)
"""Range of temperatures: few clips, all predicted rightly, would give 0."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """Calibration of a methodology's out-of-fold probabilities.

    Attributes
    ----------
    temperature : exponent 1 / temperature brings the probabilities nearest to the frequencies
    before, after : ``ece`` and ``brier`` of the probabilities as predicted, and with the
        temperature of the other folds
    raw, scaled : these probabilities [shape=(n_predictions, 4)]
    quadrants : true quadrants, 0 to 3 [shape=(n_predictions,)]
    """

    temperature: float
    before: Mapping[str, float]
    after: Mapping[str, float]
    raw: NDArray[np.float64]
    scaled: NDArray[np.float64]
    quadrants: NDArray[np.int64]


def calibrate(
    probabilities: NDArray[np.float64],
    quadrants: NDArray[np.int64],
    *,
    folds: NDArray[np.integer[Any]],
) -> Calibration:
    """Find the temperature of out-of-fold probabilities, and measure what it improves.

    A temperature is measured on clips that it was not chosen for: for the clips of a fold, it is
    chosen from those of the other folds. If it does not improve the Brier score there, the
    temperature is 1.

    Parameters
    ----------
    probabilities : out-of-fold probabilities [shape=(n_predictions, 4)]
    quadrants : true quadrants, 0 to 3 [shape=(n_predictions,)]
    folds : fold of each prediction's clip, the same in all repetitions [shape=(n_predictions,)]
    """
    scaled = np.empty_like(probabilities)
    for fold in np.unique(folds):
        own = folds == fold
        rest = own if own.all() else ~own
        chosen = best_temperature(probabilities[rest], quadrants[rest])
        scaled[own] = with_temperature(probabilities[own], chosen)
    before, after = (_measures(each, quadrants) for each in (probabilities, scaled))
    temperature = best_temperature(probabilities, quadrants)
    if after["brier"] >= before["brier"]:
        temperature, after, scaled = 1.0, before, probabilities
    return Calibration(
        temperature=temperature,
        before=before,
        after=after,
        raw=probabilities,
        scaled=scaled,
        quadrants=quadrants,
    )


def best_temperature(probabilities: NDArray[np.float64], quadrants: NDArray[np.int64]) -> float:
    """Return the temperature with the smallest negative log-likelihood of the true quadrants.

    Parameters
    ----------
    probabilities : [shape=(n_predictions, 4)]
    quadrants : true quadrants, 0 to 3 [shape=(n_predictions,)]
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        scaled = with_temperature(probabilities, float(np.exp(log_temperature)))
        return float(-np.log(np.maximum(_true(scaled, quadrants), SMALLEST)).mean())

    found = minimize_scalar(loss, bounds=tuple(np.log(BOUNDS)), method="bounded")
    return float(np.exp(found.x))


def with_temperature(probabilities: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities to the power 1 / temperature, scaled to a sum of 1.

    The order of the quadrants stays the same; a temperature of 1 changes nothing.

    Parameters
    ----------
    probabilities : [shape=(n_predictions, 4)]
    temperature : float > 0

    Examples
    --------
    >>> with_temperature(np.array([[0.8, 0.2, 0.0, 0.0]]), 2.0).round(3).tolist()
    [[0.667, 0.333, 0.0, 0.0]]
    """
    if temperature == 1:
        return probabilities
    logarithms = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logarithms - logarithms.max(axis=1, keepdims=True))
    powers[probabilities == 0] = 0
    scaled: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def calibration_error(
    probabilities: NDArray[np.float64], quadrants: NDArray[np.int64], *, n_bins: int = N_BINS
) -> float:
    """Expected calibration error of the most probable quadrant, 0 to 1.

    Parameters
    ----------
    probabilities : [shape=(n_predictions, 4)]
    quadrants : true quadrants, 0 to 3 [shape=(n_predictions,)]
    n_bins : int > 0, bins of equal width
    """
    confidence, accuracy, n = binned(probabilities, quadrants, n_bins=n_bins)
    return float(np.abs(confidence - accuracy) @ n / n.sum())


def _measures(probabilities: NDArray[np.float64], quadrants: NDArray[np.int64]) -> dict[str, float]:
    errors = probabilities - np.eye(len(QUADRANTS))[quadrants]
    return {
        "ece": calibration_error(probabilities, quadrants),
        "brier": float(np.square(errors).sum(axis=1).mean()),
    }


def _true(probabilities: NDArray[np.float64], quadrants: NDArray[np.int64]) -> NDArray[np.float64]:
    return probabilities[np.arange(len(quadrants)), quadrants]


def binned(
    probabilities: NDArray[np.float64], quadrants: NDArray[np.int64], *, n_bins: int
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Group predictions by the probability of their most probable quadrant.

    Parameters
    ----------
    probabilities : [shape=(n_predictions, 4)]
    quadrants : true quadrants, 0 to 3 [shape=(n_predictions,)]
    n_bins : int > 0, bins of equal width

    Returns
    -------
    mean probability, share of right predictions and number of predictions of each bin
    [shape=(n_bins,)]
    """
    confidence = probabilities.max(axis=1)
    is_right = probabilities.argmax(axis=1) == quadrants
    # a confidence of 1 is in the last bin
    which = np.minimum((confidence * n_bins).astype(np.int64), n_bins - 1)
    n = np.bincount(which, minlength=n_bins)
    sums = [np.bincount(which, weights=each, minlength=n_bins) for each in (confidence, is_right)]
    means = [each / np.maximum(n, 1) for each in sums]
    return means[0], means[1], n
