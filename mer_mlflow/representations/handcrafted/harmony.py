"""Harmony: key and mode, chords, tonal motion, consonance and roughness.

All features are invariant to transposition by semitones, apart from the effect of registers.

References
----------
C. Krumhansl, "Cognitive foundations of musical pitch", Oxford University Press, 1990; D. Temperley,
"The cognition of basic musical structures", MIT Press, 2001 (profiles of the keys).
C. Harte, M. Sandler, M. Gasser, "Detecting harmonic change in musical audio", ACM Multimedia
workshop on audio and music computing for multimedia, 2006 (tonal centroid).
I. Quinn, "General equal-tempered harmony", Perspectives of New Music 44, 2006 (Fourier magnitudes
of pitch classes).
W. Sethares, "Tuning, timbre, spectrum, scale", Springer, 1998; P. Vassilakis, "Perceptual and
physical properties of amplitude fluctuation and their musical significance", PhD thesis, UCLA,
2001; W. Hutchinson, L. Knopoff, "The acoustic component of Western consonance", Interface 7, 1978
(dissonance of pairs of partials).
P. Daniel, R. Weber, "Psychoacoustical roughness: implementation of an optimized model", Acustica
83, 1997 (fast modulation of band envelopes).
O. Lartillot, P. Toiviainen, "A Matlab toolbox for musical feature extraction from audio", DAFx
2007 (key clarity, mode, inharmonicity).
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.handcrafted.groups import Tracks, Values
from mer_mlflow.representations.handcrafted.pitch import Peaks
from mer_mlflow.representations.handcrafted.sound import (
    FINE_BANDS,
    FINE_HOP,
    LONG_HOP,
    SR,
    Sound,
)
from mer_mlflow.representations.handcrafted.statistics import BRIEF, COURSE

Array = NDArray[np.float64]

PROFILES = {
    "major": (
        (6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88),
        (5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0),
    ),
    "minor": (
        (6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17),
        (5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0),
    ),
}
"""Profiles of the keys of C by Krumhansl and Temperley; their mean is used."""
CHORDS = {
    "major": (0, 4, 7),
    "minor": (0, 3, 7),
    "diminished": (0, 3, 6),
    "augmented": (0, 4, 8),
    "suspended": (0, 5, 7),
    "seventh": (0, 4, 7, 10),
    "major_seventh": (0, 4, 7, 11),
    "minor_seventh": (0, 3, 7, 10),
    "power": (0, 7),
}
KEY_FRAMES = 43
"""Window of local keys in long frames, 4 s."""
CHORD_FRAMES = 5
"""Window of chords in long frames, 0.5 s."""
N_PARTIALS = 20
ENVELOPE_RATES = (2.0, 4.0, 10.0, 20.0, 35.0, 60.0, 100.0, 170.0)
"""Edges of envelope modulation rates [Hz]; roughness is perceived from 20 to 150 Hz."""
ENVELOPE_FRAMES = 512
INTERVALS = (*("second_minor", "second_major", "third_minor", "third_major", "fourth", "tritone"),)


def _standardised(rows: Array) -> Array:
    centred = rows - rows.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    return np.asarray(np.where(norm > 1e-9, centred / np.where(norm > 1e-9, norm, 1.0), 0.0))


@cache
def _key_profiles() -> Array:
    """Standardised profiles of the 24 keys, C major first, C minor 13th [shape=(24, 12)]."""
    profiles = [np.mean(PROFILES[mode], axis=0) for mode in ("major", "minor")]
    keys = [np.roll(profile, tonic) for profile in profiles for tonic in range(12)]
    return _standardised(np.array(keys).T).T


def _smoothed(chroma: Array, n_frames: int) -> Array:
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(chroma, min(n_frames, chroma.shape[1]), axis=1))


def _key_strengths(chroma: Array) -> Array:
    """Correlation with the 24 keys' profiles [shape=(2, 12, n_frames)]: major, then minor."""
    return (_key_profiles() @ _standardised(chroma)).reshape(2, 12, -1)


def _key_measures(chroma: Array) -> Array:
    """Rows in the order of `KEYS` [shape=(5, n_frames)]."""
    strengths = _key_strengths(chroma)
    best = strengths.max(axis=1)
    ordered = np.sort(strengths.reshape(24, -1), axis=0)
    tonic = strengths.max(axis=0).argmax(axis=0)
    frames = np.arange(chroma.shape[1])
    parallel = strengths[0, tonic, frames] - strengths[1, tonic, frames]
    third = chroma[(tonic + 4) % 12, frames] - chroma[(tonic + 3) % 12, frames]
    return np.stack([ordered[-1], ordered[-1] - ordered[-2], best[0] - best[1], parallel, third])


KEYS = ("key_clarity", "key_distinctness", "majorness", "parallel_majorness", "third_majorness")


def local_keys(sound: Sound) -> Array:
    """Key of 4 s around each long frame, in the order of `KEYS` [shape=(5, n_long_frames)]."""
    return _key_measures(_smoothed(sound.chroma, KEY_FRAMES))


def overall_key(sound: Sound) -> Array:
    """Key of the whole clip, its pitch classes from the tonic on, and changes of local keys."""
    chroma = sound.chroma.mean(axis=1, keepdims=True)
    strengths = _key_strengths(chroma)[:, :, 0]
    tonic = int(strengths.max(axis=0).argmax())
    local = _key_strengths(_smoothed(sound.chroma, KEY_FRAMES)).reshape(24, -1)
    changes = np.mean(np.diff(local.argmax(axis=0)) != 0) if local.shape[1] > 1 else 0.0
    is_major = local.argmax(axis=0) < 12
    return np.array(
        [
            *_key_measures(chroma)[:, 0],
            float(is_major.mean()),
            float(changes),
            *np.roll(chroma[:, 0], -tonic),
            *np.sort(chroma[:, 0])[::-1],
        ]
    )


OVERALL = (
    *(f"{name}.overall" for name in KEYS),
    "major_key.share",
    "key_change.share",
    *(f"degree_{i:02d}.overall" for i in range(12)),
    *(f"pitch_class_rank_{i:02d}.overall" for i in range(12)),
)


def fourier_magnitudes(sound: Sound) -> Array:
    """Magnitudes of each frame's and of the whole clip's pitch classes [shape=(6, n_frames)]."""
    return np.abs(np.fft.rfft(sound.chroma, axis=0))[1:]


def overall_fourier(sound: Sound) -> Array:
    """Magnitudes of the clip's mean pitch classes [shape=(6,)]."""
    return np.asarray(np.abs(np.fft.rfft(sound.chroma.mean(axis=1)))[1:])


def tonal_motion(sound: Sound) -> Array:
    """Rows in the order of `MOTION` [shape=(5, n_long_frames)]."""
    librosa = import_librosa()

    chroma = sound.chroma
    smooth = _smoothed(chroma, CHORD_FRAMES)
    centroid = librosa.feature.tonnetz(chroma=smooth, sr=SR)
    safe = np.where(chroma > 0.0, chroma, 1.0)
    return np.stack(
        [
            np.linalg.norm(np.diff(centroid, axis=1, prepend=centroid[:, :1]), axis=0),
            np.linalg.norm(centroid - centroid.mean(axis=1, keepdims=True), axis=0),
            np.abs(np.diff(chroma, axis=1, prepend=chroma[:, :1])).sum(axis=0),
            -(chroma * np.log(safe)).sum(axis=0),
            chroma.max(axis=0),
        ]
    )


MOTION = ("change", "centroid_distance", "chroma_flux", "chroma_entropy", "chroma_max")


def intervals(sound: Sound) -> Array:
    """Strength of each interval class in simultaneous pitches [shape=(6, n_long_frames)]."""
    chroma = _smoothed(sound.chroma, CHORD_FRAMES)
    norm = np.maximum((chroma**2).sum(axis=0), 1e-9)
    return np.stack(
        [(chroma * np.roll(chroma, step, axis=0)).sum(axis=0) / norm for step in range(1, 7)]
    )


@cache
def _chord_templates() -> Array:
    """Standardised triads and sevenths on every root [shape=(n_chords * 12, 12)]."""
    templates = np.zeros((len(CHORDS), 12, 12))
    for kind, degrees in enumerate(CHORDS.values()):
        for root in range(12):
            templates[kind, root, [(root + degree) % 12 for degree in degrees]] = 1.0
    return _standardised(templates.reshape(-1, 12).T).T


def _chord_strengths(sound: Sound) -> Array:
    """Correlation with every chord [shape=(n_kinds, 12, n_long_frames)]."""
    chroma = _smoothed(np.sqrt(sound.chroma), CHORD_FRAMES)
    return (_chord_templates() @ _standardised(chroma)).reshape(len(CHORDS), 12, -1)


def chords(sound: Sound) -> Array:
    """Best match of each kind of chord, and major over minor [shape=(10, n_long_frames)]."""
    best = _chord_strengths(sound).max(axis=1)
    return np.vstack([best, best[0] - best[1]])


def chord_course(sound: Sound) -> Array:
    """Share of major chords, chord changes per second, share of the two most frequent chords."""
    triads = _chord_strengths(sound)[:2].reshape(24, -1)
    chosen = triads.argmax(axis=0)
    shares = np.sort(np.bincount(chosen, minlength=24))[::-1] / len(chosen)
    used = shares[shares > 0.0]
    return np.array(
        [
            np.mean(chosen < 12),
            np.count_nonzero(np.diff(chosen)) / sound.seconds,
            shares[0],
            shares[1],
            -(used * np.log(used)).sum(),
        ]
    )


def _strongest(peaks: Peaks, n_frames: int) -> tuple[Array, Array]:
    """Frequency and amplitude of each frame's strongest peaks [shape=(n_frames, N_PARTIALS)]."""
    first = np.searchsorted(peaks.frame, np.arange(n_frames))
    rank = np.arange(len(peaks.frame)) - first[peaks.frame]
    n_most = max(N_PARTIALS, int(rank.max(initial=0)) + 1)
    hz, amplitude = np.ones((n_frames, n_most)), np.zeros((n_frames, n_most))
    hz[peaks.frame, rank], amplitude[peaks.frame, rank] = peaks.hz, peaks.amplitude
    order = np.argsort(-amplitude, axis=1, kind="stable")[:, :N_PARTIALS]
    return np.take_along_axis(hz, order, axis=1), np.take_along_axis(amplitude, order, axis=1)


def dissonance(sound: Sound) -> Array:
    """Dissonance of partials in the order of `DISSONANCE` [shape=(4, n_long_frames)]."""
    hz, amplitude = _strongest(sound.long_peaks, sound.long_power.shape[1])
    first, second = np.triu_indices(N_PARTIALS, k=1)
    lower = np.minimum(hz[:, first], hz[:, second])
    gap = np.abs(hz[:, first] - hz[:, second]) * 0.24 / (0.0207 * lower + 18.96)
    curve = np.exp(-3.51 * gap) - np.exp(-5.75 * gap)
    weak = np.minimum(amplitude[:, first], amplitude[:, second])
    strong = np.maximum(amplitude[:, first], amplitude[:, second])
    product = weak * strong
    fluctuation = (2.0 * weak / np.maximum(weak + strong, 1e-12)) ** 3.11
    roughness = (0.5 * product**0.1 * fluctuation * curve).sum(axis=1)
    energy = np.maximum((amplitude**2).sum(axis=1), 1e-12)
    total = (weak * curve).sum(axis=1)
    return np.stack(
        [
            np.log10(total + 1e-6),
            total / np.maximum(amplitude.sum(axis=1), 1e-6),
            (product * curve).sum(axis=1) / energy,
            roughness,
        ]
    )


DISSONANCE = ("dissonance", "dissonance_share", "dissonance_of_energy", "roughness")


def inharmonicity(sound: Sound) -> Array:
    """Deviation of the peaks from the melody's harmonics, 0 to 1 [shape=(1, n_frames)]."""
    peaks, melody = sound.peaks, sound.melody
    fundamental = 440.0 * 2.0 ** ((melody.semitones - 69.0) / 12.0)
    number = peaks.hz / fundamental[peaks.frame]
    distance = 2.0 * np.abs(number - np.maximum(np.round(number), 1.0))
    n_frames = len(fundamental)
    weighted = np.bincount(
        peaks.frame, weights=np.minimum(distance, 1.0) * peaks.amplitude, minlength=n_frames
    )
    total = np.bincount(peaks.frame, weights=peaks.amplitude, minlength=n_frames)
    return (weighted / np.where(total > 0.0, total, 1.0))[np.newaxis]


def envelope_modulations(sound: Sound) -> Array:
    """Modulation of band envelopes by rate, relative to their mean [dB, shape=(42,)]."""
    from scipy.signal import welch

    envelopes = sound.fine_bands.astype(np.float64)
    length = min(ENVELOPE_FRAMES, envelopes.shape[1])
    rates, density = welch(
        envelopes, fs=SR / FINE_HOP, nperseg=length, nfft=ENVELOPE_FRAMES, axis=1
    )
    edges = np.searchsorted(rates, ENVELOPE_RATES)
    energy = np.add.reduceat(density[:, : edges[-1]], edges[:-1], axis=1) * rates[1]
    return np.asarray(
        10.0 * np.log10(energy / envelopes.mean(axis=1, keepdims=True) ** 2 + 1e-6)
    ).ravel()


GROUPS = (
    Tracks(
        descriptors=tuple(f"harmony.{name}" for name in KEYS),
        statistics=("mean", "std", "p05", "p95"),
        measure=local_keys,
        hop_length=LONG_HOP,
    ),
    Values(names=tuple(f"harmony.{name}" for name in OVERALL), measure=overall_key),
    Tracks(
        descriptors=tuple(f"harmony.fourier_{i}" for i in range(1, 7)),
        statistics=BRIEF,
        measure=fourier_magnitudes,
        hop_length=LONG_HOP,
    ),
    Values(
        names=tuple(f"harmony.fourier_{i}.overall" for i in range(1, 7)), measure=overall_fourier
    ),
    Tracks(
        descriptors=tuple(f"harmony.{name}" for name in MOTION),
        statistics=("mean", "std", "skewness", "p95", "slow", "medium"),
        measure=tonal_motion,
        hop_length=LONG_HOP,
    ),
    Tracks(
        descriptors=tuple(f"harmony.interval_{name}" for name in INTERVALS),
        statistics=BRIEF,
        measure=intervals,
        hop_length=LONG_HOP,
    ),
    Tracks(
        descriptors=tuple(f"harmony.chord_{name}" for name in (*CHORDS, "major_over_minor")),
        statistics=BRIEF,
        measure=chords,
        hop_length=LONG_HOP,
    ),
    Values(
        names=(
            *("harmony.major_chord.share", "harmony.chord_change.rate"),
            *("harmony.first_chord.share", "harmony.second_chord.share", "harmony.chord.entropy"),
        ),
        measure=chord_course,
    ),
    Tracks(
        descriptors=tuple(f"harmony.{name}" for name in DISSONANCE),
        statistics=("mean", "std", "skewness", "kurtosis", "p05", "p95", "slow", "medium"),
        measure=dissonance,
        hop_length=LONG_HOP,
    ),
    Tracks(
        descriptors=("harmony.inharmonicity",),
        statistics=COURSE,
        measure=inharmonicity,
    ),
    Values(
        names=tuple(
            f"harmony.envelope_modulation.band_{band}_rate_{rate}"
            for band in range(len(FINE_BANDS) - 1)
            for rate in range(len(ENVELOPE_RATES) - 1)
        ),
        measure=envelope_modulations,
    ),
)
