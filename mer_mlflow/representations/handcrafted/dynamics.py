"""Dynamics: loudness, its range and its change over time.

References
----------
EBU Tech 3342, "Loudness range", 2023; ITU-R BS.1770-5 (gated loudness).
E. Zwicker, H. Fastl, "Psychoacoustics: facts and models", Springer, 1999 (loudness, sharpness).
D. Cabrera, "PsySound: a computer program for the psychoacoustical analysis of music", ACMC 1999
(timbral width).
S. Streich, "Music complexity", PhD thesis, Universitat Pompeu Fabra, 2007 (dynamic complexity).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.handcrafted.groups import Tracks, Values
from mer_mlflow.representations.handcrafted.sound import HOP, N_MELS, SR, Sound
from mer_mlflow.representations.handcrafted.statistics import FULL

Array = NDArray[np.float64]

MOMENT, SHORT_TERM = 0.4, 3.0
"""Windows of loudness [s]."""
ABSOLUTE_GATE = -70.0
RELATIVE_GATE, RANGE_GATE = -10.0, -20.0
"""Gate of blocks, relative to the loudness of all [LU]."""
SILENT = -60.0
"""Level of silent frames, relative to the clip's loudest frame [dB]."""
SHARP_BARK = 15.8
"""Critical band rate above which the weighting of sharpness increases."""


@cache
def _barks() -> Array:
    librosa = import_librosa()

    hz = librosa.mel_frequencies(n_mels=N_MELS + 2, fmax=SR / 2)[1:-1]
    return np.asarray(13.0 * np.arctan(0.00076 * hz) + 3.5 * np.arctan((hz / 7500.0) ** 2))


def levels(sound: Sound) -> Array:
    """Level, loudness, sharpness and timbral width [shape=(4, n_frames)]."""
    specific = sound.specific_loudness
    barks = _barks()
    total = specific.sum(axis=0)
    audible = np.where(total > 0.0, total, 1.0)
    weight = np.where(barks > SHARP_BARK, 0.85 + 0.15 * np.exp(0.42 * (barks - SHARP_BARK)), 1.0)
    sharpness = (weight * barks) @ specific / audible
    return np.stack([sound.loudness_db, total, sharpness, specific.max(axis=0) / audible])


def short_term(sound: Sound) -> Array:
    """K-weighted level of windows of 3 s [LUFS, shape=(1, n_windows)]."""
    return _windowed(sound, SHORT_TERM)[np.newaxis]


def _windowed(sound: Sound, seconds: float) -> Array:
    from scipy.ndimage import uniform_filter1d

    mean_square = 10.0 ** (sound.loudness_db / 10.0)
    length = min(round(seconds * SR / HOP), len(mean_square))
    means = uniform_filter1d(mean_square, length)
    whole = means[length // 2 : len(means) - (length - 1) // 2]
    return np.asarray(10.0 * np.log10(whole))


def _gated(blocks: Array, relative: float) -> Array:
    """Return the blocks louder than both gates, or all if there are none."""
    loud = blocks[blocks > ABSOLUTE_GATE]
    if not loud.size:
        return blocks
    gate = 10.0 * np.log10(np.mean(10.0 ** (loud / 10.0))) + relative
    return np.asarray(loud[loud >= gate])


def summary(sound: Sound) -> Array:
    """Values in the order of `SUMMARY`."""
    moments, windows = _windowed(sound, MOMENT), _windowed(sound, SHORT_TERM)
    integrated = 10.0 * np.log10(np.mean(10.0 ** (_gated(moments, RELATIVE_GATE) / 10.0)))
    quiet, loud = np.percentile(_gated(windows, RANGE_GATE), (10, 95))
    level = sound.loudness_db
    peak = 20.0 * np.log10(max(float(np.abs(sound.samples).max()), 1e-5))
    mean_square = 10.0 ** (level / 10.0)
    halves = np.array_split(level, 2)
    return np.array(
        [
            integrated,
            loud - quiet,
            windows.max(),
            peak,
            peak - integrated,
            np.abs(moments - np.median(moments)).mean(),
            np.mean(mean_square < mean_square.mean()),
            np.mean(level < level.max() + SILENT),
            halves[1].mean() - halves[0].mean(),
        ]
    )


SUMMARY = (
    *("loudness.integrated", "loudness.range", "loudness.short_term_max", "level.peak"),
    *("level.crest", "level.complexity", "level.low_energy_share", "level.silence_share"),
    "level.rise",
)

GROUPS = (
    Tracks(
        descriptors=tuple(
            f"dynamics.{name}" for name in ("level", "loudness", "sharpness", "timbral_width")
        ),
        statistics=FULL,
        measure=levels,
    ),
    Tracks(
        descriptors=("dynamics.short_term",),
        statistics=("std", "skewness", "trend"),
        measure=short_term,
    ),
    Values(names=tuple(f"dynamics.{name}" for name in SUMMARY), measure=summary),
)
