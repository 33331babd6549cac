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
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MODULATIONS = {"slow": (0.3, 1.5), "medium": (1.5, 4.0), "fast": (4.0, 10.0)}
"""Rates of change [Hz]: phrases, beats, notes and vibrato."""
NEGLIGIBLE = 1e-6
"""Standard deviation, relative to the values, below which a descriptor counts as constant."""

PERCENTS = (5.0, 50.0, 95.0)

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class _Courses:
    """Descriptors by frame, and what several statistics need, computed once.

    Attributes
    ----------
    rows : descriptors [shape=(n_descriptors, n_frames)]
    rate : frames per second [Hz]
    """

    rows: Array
    rate: float

    @cached_property
    def mean(self) -> Array:
        return np.asarray(self.rows.mean(axis=1))

    @cached_property
    def deviation(self) -> Array:
        return np.asarray(self.rows.std(axis=1))

    @cached_property
    def is_constant(self) -> NDArray[np.bool_]:
        return np.asarray(self.deviation <= NEGLIGIBLE * np.abs(self.rows).max(axis=1))

    @cached_property
    def centred(self) -> Array:
        return self.rows - self.mean[:, np.newaxis]

    @cached_property
    def scaled(self) -> Array:
        """Rows with mean 0 and deviation 1; 0 if they are constant."""
        divisors = np.where(self.is_constant, np.inf, self.deviation)
        return self.centred / divisors[:, np.newaxis]

    @cached_property
    def squares(self) -> Array:
        return self.scaled * self.scaled

    @cached_property
    def percentiles(self) -> dict[float, Array]:
        found = np.percentile(self.rows, PERCENTS, axis=1)
        return dict(zip(PERCENTS, found, strict=True))

    @cached_property
    def energy(self) -> tuple[Array, Array]:
        """Rates of change [Hz], and the energy of each descriptor at each of them."""
        window = np.hanning(self.rows.shape[1])
        energy: Array = np.abs(np.fft.rfft(self.centred * window, axis=1)) ** 2
        rates: Array = np.asarray(np.fft.rfftfreq(self.rows.shape[1], 1.0 / self.rate), np.float64)
        return rates, energy


def _mean(courses: _Courses) -> Array:
    return courses.mean


def _std(courses: _Courses) -> Array:
    return courses.deviation


def _skewness(courses: _Courses) -> Array:
    return np.asarray((courses.squares * courses.scaled).mean(axis=1))


def _kurtosis(courses: _Courses) -> Array:
    """Return the logarithm of the kurtosis, because rare events increase it to hundreds."""
    moment = (courses.squares * courses.squares).mean(axis=1)
    return np.asarray(np.log(np.maximum(moment, 1.0)))


def _percentile(percent: float) -> Callable[[_Courses], Array]:
    return lambda courses: courses.percentiles[percent]


def _delta_std(courses: _Courses) -> Array:
    deviation: Array = np.diff(courses.rows, axis=1).std(axis=1)
    return deviation


def _trend(courses: _Courses) -> Array:
    """Return the correlation with time: from -1, always decreasing, to 1, always increasing."""
    time, constant = np.linspace(-1.0, 1.0, courses.rows.shape[1]), courses.is_constant
    norm = np.linalg.norm(courses.centred, axis=1) * np.linalg.norm(time)
    trend: Array = np.where(constant, 0.0, courses.centred @ time / np.where(constant, 1.0, norm))
    return trend


def _modulation(lowest: float, highest: float) -> Callable[[_Courses], Array]:
    def modulation(courses: _Courses) -> Array:
        """Return the square root of the share of the variance between two modulation rates."""
        rates, energy = courses.energy
        within = (rates >= lowest) & (rates < highest)
        constant = courses.is_constant
        total = np.where(constant, 1.0, energy.sum(axis=1))
        share = np.where(constant, 0.0, energy[:, within].sum(axis=1)) / np.maximum(total, 1e-300)
        return np.sqrt(np.asarray(share))

    return modulation


_STATISTICS: dict[str, Callable[[_Courses], Array]] = {
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
    values = rows.astype(np.float64)
    if values.shape[1] == 1:
        values = np.repeat(values, 2, axis=1)
    courses = _Courses(rows=values, rate=rate)
    return np.stack([_STATISTICS[name](courses) for name in statistics], axis=1)
