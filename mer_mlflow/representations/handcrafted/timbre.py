"""Timbre: spectral envelope, spectral shape, tonal and noisy bands.

References
----------
MPEG-7 Audio, ISO/IEC 15938-4, 2002 (flatness and crest in quarter-octave bands).
G. Peeters, "A large set of audio features for sound description", CUIDADO report, IRCAM, 2004.
D.-N. Jiang et al., "Music type classification by spectral contrast feature", ICME 2002.
F. Itakura, "Line spectrum representation of linear predictor coefficients of speech signals",
Journal of the Acoustical Society of America 57, 1975.
V. Arsigny et al., "Log-Euclidean metrics for fast and simple calculus on diffusion tensors",
Magnetic Resonance in Medicine 56, 2006 (matrix logarithm of a covariance).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.handcrafted.groups import Tracks, Values
from mer_mlflow.representations.handcrafted.sound import (
    HOP,
    N_FFT,
    N_MELS,
    SR,
    Sound,
    band_sums,
    bin_edges,
)
from mer_mlflow.representations.handcrafted.statistics import COURSE, FULL, SHAPE

Array = NDArray[np.float64]

N_MFCC = 20
NEGLIGIBLE = 1e-10
"""Amplitude below which the sign of a sample does not count."""
QUARTER_OCTAVES = tuple(250.0 * 2.0 ** (i / 4) for i in range(22))
"""Edges of MPEG-7's bands [Hz], 250 Hz to 9.5 kHz."""
N_BANDS = len(QUARTER_OCTAVES) - 1
CONTRAST_BANDS = (0.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, SR / 2)
CONTRAST_SHARE = 0.1
"""Share of a band's bins that define its peak and its valley."""
LPC_ORDER = 10
ROLLOFFS = (0.5, 0.85, 0.95)
"""Shares of the power below the roll-off frequencies, whose unit is log2 of Hz."""
BRIGHT = (1500.0, 4000.0)
"""Frequencies above which the share of the power is measured [Hz]."""
COVARIANCE_BANDS = 12
N_ENVELOPE = 20


def mfccs(sound: Sound) -> NDArray[np.floating]:
    """Cepstral coefficients of the mel bands, the level first [shape=(N_MFCC, n_frames)]."""
    librosa = import_librosa()

    return np.asarray(librosa.feature.mfcc(S=sound.mel_db, n_mfcc=N_MFCC))


def shapes(sound: Sound) -> Array:
    """Shape of each frame's spectrum in the order of `SHAPES` [shape=(n_shapes, n_frames)]."""
    hz = np.arange(N_FFT // 2 + 1) * SR / N_FFT
    log_power = sound.log_power / np.float32(np.log(10.0))
    total = sound.power.sum(axis=0)
    share = sound.power / total
    cumulated = np.cumsum(share, axis=0)
    below = [hz[np.minimum(_count(cumulated < part), len(hz) - 1)] for part in ROLLOFFS]
    octaves = np.log2(hz[2:]) - np.log2(hz[2:]).mean()
    return np.stack(
        [
            *_moments(np.sqrt(share), hz),
            *(np.log2(edge + 20.0) for edge in below),
            (np.log(total) - (share * sound.log_power).sum(axis=0)) / np.log(len(share)),
            log_power.mean(axis=0) - np.log10(total),
            *(share[np.searchsorted(hz, edge, side="right") :].sum(axis=0) for edge in BRIGHT),
            octaves @ log_power[2:] / (octaves @ octaves),
            np.abs(np.diff(log_power, axis=0)).mean(axis=0),
        ]
    )


def _count(marks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Count the marks of each frame, faster than ``sum`` does."""
    ones = np.ones(len(marks), dtype=np.float32)
    return np.asarray(ones @ marks.astype(np.float32)).astype(np.int64)


def _moments(amplitude: NDArray[np.float32], hz: Array) -> tuple[Array, Array, Array, Array]:
    """Centroid and spread [Hz], skewness, logarithm of the kurtosis [each shape=(n_frames,)]."""
    scaled = hz / hz[-1]
    powers = scaled ** np.arange(5)[:, np.newaxis]
    zeroth, *raw = powers @ amplitude.astype(np.float64)
    first, second, third, fourth = (moment / zeroth for moment in raw)
    variance = np.maximum(second - first**2, 1e-9)
    skewness = (third - 3.0 * first * second + 2.0 * first**3) / variance**1.5
    kurtosis = (
        fourth - 4.0 * first * third + 6.0 * first**2 * second - 3.0 * first**4
    ) / variance**2
    return first * hz[-1], np.sqrt(variance) * hz[-1], skewness, np.log(np.maximum(kurtosis, 1.0))


SHAPES = (
    *("centroid", "spread", "skewness", "kurtosis", "rolloff_50", "rolloff_85", "rolloff_95"),
    *("entropy", "flatness", "brightness_1500", "brightness_4000", "slope", "irregularity"),
)


def zero_crossings(sound: Sound) -> NDArray[np.floating]:
    """Share of samples at which the sign changes [shape=(1, n_frames)]."""
    is_negative = sound.samples < -NEGLIGIBLE
    crossings = np.cumsum(is_negative[1:] != is_negative[:-1])
    counts = np.concatenate([[0], crossings])
    first = np.arange(0, len(is_negative) - N_FFT + 1, HOP)
    return np.asarray(counts[first + N_FFT - 1] - counts[first])[np.newaxis] / N_FFT


def flatness_and_crest(sound: Sound) -> Array:
    """Flatness, then crest [dB] of quarter-octave bands [shape=(2 * N_BANDS, n_frames)]."""
    edges = bin_edges(QUARTER_OCTAVES, N_FFT)
    widths = np.diff(edges)[:, np.newaxis]
    mean = band_sums(sound.power, edges) / widths
    log_mean = band_sums(sound.log_power, edges) / widths
    peak = np.maximum.reduceat(sound.power[: edges[-1]], edges[:-1], axis=0)
    to_db = 10.0 / np.log(10.0)
    return np.asarray(
        to_db * np.vstack([log_mean - np.log(mean), np.log(peak / mean)]), dtype=np.float64
    )


def contrasts(sound: Sound) -> Array:
    """Level of peaks over valleys, then of valleys, in octave bands [dB, shape=(14, n_frames)]."""
    edges = bin_edges(CONTRAST_BANDS, N_FFT)
    peaks, valleys = [], []
    for first, last in pairwise(edges):
        ordered = np.sort(sound.power[first:last], axis=0)
        n_bins = max(1, round(CONTRAST_SHARE * len(ordered)))
        valleys.append(10.0 * np.log10(ordered[:n_bins].mean(axis=0)))
        peaks.append(10.0 * np.log10(ordered[-n_bins:].mean(axis=0)))
    return np.vstack([np.array(peaks) - np.array(valleys), np.array(valleys)])


def line_spectral_frequencies(sound: Sound) -> Array:
    """Line spectral frequencies, lowest first [rad, shape=(LPC_ORDER, n_frames / 2)]."""
    import scipy.fft

    power = sound.power[:, ::2].T.astype(np.float64)
    lags = np.arange(LPC_ORDER)
    correlation = scipy.fft.irfft(power, axis=1)[:, : LPC_ORDER + 1]
    predictor = np.linalg.solve(
        correlation[:, np.abs(lags[:, np.newaxis] - lags)], correlation[:, 1:, np.newaxis]
    )[:, :, 0]
    padded = np.pad(-predictor, ((0, 0), (0, 1)))
    mirrored = np.pad(-predictor[:, ::-1], ((0, 0), (0, 1)), constant_values=1.0)
    symmetric = _root_angles(padded + mirrored)[:, :-1:2]
    antisymmetric = _root_angles(padded - mirrored)[:, 1::2]
    return np.sort(np.hstack([symmetric, antisymmetric]), axis=1).T


def _root_angles(coefficients: Array) -> Array:
    """Angles of the roots of x^n + c_1 x^(n-1) + ... + c_n, from 0 to pi [shape=(n_rows, n)]."""
    n_rows, order = coefficients.shape
    companion = np.zeros((n_rows, order, order))
    companion[:, 0] = -coefficients
    companion[:, np.arange(1, order), np.arange(order - 1)] = 1.0
    return np.sort(np.abs(np.angle(np.linalg.eigvals(companion))), axis=1)


def envelope(sound: Sound) -> Array:
    """Level of pairs of mel bands relative to the whole [dB, shape=(N_ENVELOPE, n_frames)]."""
    pairs = sound.mel.reshape(N_ENVELOPE, N_MELS // N_ENVELOPE, -1).sum(axis=1)
    return np.asarray(10.0 * np.log10(pairs / pairs.sum(axis=0)), dtype=np.float64)


def log_covariance(sound: Sound) -> Array:
    """Upper triangle of the logarithm of the bands' covariance matrix [shape=(78,)].

    The logarithm makes differences of such matrices comparable. A variance of 1 dB^2 is added to
    each band, so that it is finite.
    """
    edges = np.linspace(0, N_MELS, COVARIANCE_BANDS, endpoint=False).round().astype(np.int64)
    levels = 10.0 * np.log10(np.add.reduceat(sound.mel.astype(np.float64), edges, axis=0))
    covariance = np.cov(levels, bias=True) + np.eye(COVARIANCE_BANDS)
    variances, directions = np.linalg.eigh(covariance)
    logarithm = (directions * np.log(np.maximum(variances, 1.0))) @ directions.T
    return np.asarray(logarithm[np.triu_indices(COVARIANCE_BANDS)])


GROUPS = (
    Tracks(
        descriptors=tuple(f"timbre.mfcc_{i:02d}" for i in range(N_MFCC)),
        statistics=COURSE,
        measure=mfccs,
    ),
    Tracks(descriptors=tuple(f"timbre.{name}" for name in SHAPES), statistics=FULL, measure=shapes),
    Tracks(descriptors=("timbre.zero_crossings",), statistics=COURSE, measure=zero_crossings),
    Tracks(
        descriptors=tuple(
            f"timbre.{name}_{i:02d}" for name in ("flatness", "crest") for i in range(N_BANDS)
        ),
        statistics=SHAPE,
        measure=flatness_and_crest,
    ),
    Tracks(
        descriptors=tuple(
            f"timbre.{name}_{i}"
            for name in ("contrast", "valley")
            for i in range(len(CONTRAST_BANDS) - 1)
        ),
        statistics=COURSE,
        measure=contrasts,
    ),
    Tracks(
        descriptors=tuple(f"timbre.line_{i:02d}" for i in range(LPC_ORDER)),
        statistics=(*SHAPE, "p05"),
        measure=line_spectral_frequencies,
        hop_length=2 * HOP,
    ),
    Tracks(
        descriptors=tuple(f"timbre.envelope_{i:02d}" for i in range(N_ENVELOPE)),
        statistics=SHAPE,
        measure=envelope,
    ),
    Values(
        names=tuple(
            f"timbre.bands_{i:02d}_{j:02d}.log_covariance"
            for i in range(COVARIANCE_BANDS)
            for j in range(i, COVARIANCE_BANDS)
        ),
        measure=log_covariance,
    ),
)
