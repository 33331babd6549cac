"""Statistics of descriptors over time, or over events.

References
----------
G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions on
Speech and Audio Processing 10(5), 2002 (means and deviations over a clip).
M. McKinney, J. Breebaart, "Features for audio and music classification", ISMIR 2003 (energy of a
descriptor's modulations by rate).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

MODULATIONS = {"slow": (0.3, 1.5), "medium": (1.5, 4.0), "fast": (4.0, 10.0)}
"""Rates of change [Hz]: phrases, beats, notes and vibrato."""
NEGLIGIBLE = 1e-6
"""Standard deviation, relative to the values, below which a descriptor counts as constant."""

Array = NDArray[np.float64]


def _moment(rows: Array, order: int) -> Array:
    centred = rows - rows.mean(axis=1, keepdims=True)
    deviation = rows.std(axis=1, keepdims=True)
    constant = deviation <= NEGLIGIBLE * np.abs(rows).max(axis=1, keepdims=True)
    scaled = np.where(constant, 0.0, centred / np.where(constant, 1.0, deviation))
    moment: Array = np.mean(scaled**order, axis=1)
    return moment


def _mean(rows: Array, rate: float) -> Array:
    mean: Array = rows.mean(axis=1)
    return mean


def _std(rows: Array, rate: float) -> Array:
    deviation: Array = rows.std(axis=1)
    return deviation


def _skewness(rows: Array, rate: float) -> Array:
    return _moment(rows, 3)


def _kurtosis(rows: Array, rate: float) -> Array:
    """Return the logarithm of the kurtosis, because rare events increase it to hundreds."""
    return np.log(np.maximum(_moment(rows, 4), 1.0))


def _percentile(percent: float) -> Callable[[Array, float], Array]:
    def percentile(rows: Array, rate: float) -> Array:
        return np.asarray(np.percentile(rows, percent, axis=1))

    return percentile


def _delta_std(rows: Array, rate: float) -> Array:
    deviation: Array = np.diff(rows, axis=1).std(axis=1)
    return deviation


def _trend(rows: Array, rate: float) -> Array:
    """Return the correlation with time: from -1, always decreasing, to 1, always increasing."""
    time = np.linspace(-1.0, 1.0, rows.shape[1])
    centred = rows - rows.mean(axis=1, keepdims=True)
    norm = np.linalg.norm(centred, axis=1) * np.linalg.norm(time)
    constant = rows.std(axis=1) <= NEGLIGIBLE * np.abs(rows).max(axis=1)
    trend: Array = np.where(constant, 0.0, centred @ time / np.where(constant, 1.0, norm))
    return trend


def _modulation(lowest: float, highest: float) -> Callable[[Array, float], Array]:
    def modulation(rows: Array, rate: float) -> Array:
        """Return the square root of the share of the variance between two modulation rates."""
        centred = rows - rows.mean(axis=1, keepdims=True)
        energy = np.abs(np.fft.rfft(centred * np.hanning(rows.shape[1]), axis=1)) ** 2
        rates = np.fft.rfftfreq(rows.shape[1], 1.0 / rate)
        within = (rates >= lowest) & (rates < highest)
        constant = rows.std(axis=1) <= NEGLIGIBLE * np.abs(rows).max(axis=1)
        total = np.where(constant, 1.0, energy.sum(axis=1))
        share = np.where(constant, 0.0, energy[:, within].sum(axis=1)) / np.maximum(total, 1e-300)
        return np.sqrt(np.asarray(share))

    return modulation


_STATISTICS: dict[str, Callable[[Array, float], Array]] = {
    "mean": _mean,
    "std": _std,
    "skewness": _skewness,
    "kurtosis": _kurtosis,
    "p05": _percentile(5.0),
    "p50": _percentile(50.0),
    "p95": _percentile(95.0),
    "delta_std": _delta_std,
    "trend": _trend,
    **{name: _modulation(*rates) for name, rates in MODULATIONS.items()},
}

BRIEF = ("mean", "std")
SHAPE = ("mean", "std", "skewness")
COURSE = ("mean", "std", "skewness", "delta_std", *MODULATIONS)
FULL = (*SHAPE, "kurtosis", "p05", "p95", "delta_std", "trend", *MODULATIONS)


def summarise(
    rows: NDArray[np.floating], statistics: Sequence[str], *, rate: float
) -> NDArray[np.float64]:
    """Compute statistics over time.

    Parameters
    ----------
    rows : descriptors by frame [shape=(n_descriptors, n_frames)], at least one frame
    statistics : names of statistics
    rate : frames per second [Hz]

    Returns
    -------
    statistics of each descriptor [shape=(n_descriptors, n_statistics)]
    """
    courses = rows.astype(np.float64)
    if courses.shape[1] == 1:
        courses = np.repeat(courses, 2, axis=1)
    return np.stack([_STATISTICS[name](courses, rate) for name in statistics], axis=1)
