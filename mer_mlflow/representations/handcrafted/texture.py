"""Texture: number of voices, distribution of energy over bands, harmonic and percussive parts.

References
----------
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020 (musical layers and their transitions).
D. FitzGerald, "Harmonic/percussive separation using median filtering", DAFx 2010.
V. Alluri, P. Toiviainen, "Exploring perceptual and acoustical correlates of polyphonic timbre",
Music Perception 27, 2010 (flux by octave band).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.handcrafted.groups import Tracks, Values
from mer_mlflow.representations.handcrafted.pitch import local_maxima
from mer_mlflow.representations.handcrafted.sound import (
    N_FFT,
    N_LAYERS,
    N_OCTAVES,
    OCTAVES,
    SR,
    Sound,
    band_sums,
    bin_edges,
)
from mer_mlflow.representations.handcrafted.statistics import COURSE, FULL, SHAPE

Array = NDArray[np.float64]

LAYER_SHARE = 0.2
"""Minimum salience of a voice, relative to high values of the clip."""
PITCH_SHARE = 0.3
"""Minimum salience of a salient pitch, relative to high values of the clip."""
HARMONIC_FRAMES, PERCUSSIVE_BINS = 17, 17
"""Widths of the median filters: 0.4 s, 180 Hz."""


def _number_of_layers(sound: Sound) -> NDArray[np.int64]:
    """Number of simultaneous voices [shape=(n_frames,)]."""
    reference = np.percentile(sound.layers[0], 90)
    is_voiced = (sound.layers > LAYER_SHARE * reference) & (sound.layers > 0.0)
    return np.asarray(is_voiced.sum(axis=0))


def layers(sound: Sound) -> Array:
    """Rows in the order of `LAYERS` [shape=(N_LAYERS + 3, n_frames)].

    Number of voices, salience of each further one relative to the first, pitches that are salient
    in the clip, pitches that are salient in the frame, and the first's share of all salience.
    """
    salience, first = sound.salience, sound.layers[0]
    safe = np.where(first > 0.0, first, 1.0)
    maxima = local_maxima(salience)
    total = salience.sum(axis=0)
    return np.vstack(
        [
            _number_of_layers(sound),
            sound.layers[1:] / safe,
            (maxima & (salience > PITCH_SHARE * np.percentile(first, 90))).sum(axis=0),
            (maxima & (salience > 0.5 * first)).sum(axis=0),
            first / np.where(total > 0.0, total, 1.0),
        ]
    )


LAYERS = (
    "layers",
    *(f"layer_{i}" for i in range(2, N_LAYERS + 1)),
    *("salient_pitches", "outstanding_pitches", "dominance"),
)


def layer_states(sound: Sound) -> Array:
    """Share of each number of voices, then transitions between adjacent numbers per second."""
    numbers = _number_of_layers(sound)
    shares = np.bincount(numbers, minlength=N_LAYERS + 1) / len(numbers)
    before, after = numbers[:-1], numbers[1:]
    changes = [
        np.count_nonzero((before == start) & (after == end)) / sound.seconds
        for start, end in TRANSITIONS
    ]
    return np.array([*shares, *changes])


TRANSITIONS = tuple(
    (start, end) for low in range(N_LAYERS) for start, end in ((low, low + 1), (low + 1, low))
)


def partials(sound: Sound) -> Array:
    """Number of partials and their share of the energy [shape=(2, n_frames)]."""
    peaks, n_frames = sound.peaks, sound.power.shape[1]
    energy = np.bincount(peaks.frame, weights=peaks.amplitude**2, minlength=n_frames)
    share = 1.5 * energy / sound.power.sum(axis=0)
    return np.stack([np.bincount(peaks.frame, minlength=n_frames), share])


def octave_levels(sound: Sound) -> Array:
    """Level of octave bands relative to the whole [dB, shape=(N_OCTAVES, n_frames)]."""
    octaves = sound.octaves.astype(np.float64)
    return np.asarray(10.0 * np.log10(octaves / octaves.sum(axis=0)))


def octave_flux(sound: Sound) -> Array:
    """Change of the amplitude spectrum by octave [dB, shape=(N_OCTAVES, n_frames - 1)]."""
    change = np.diff(np.sqrt(sound.power), axis=1) ** 2
    return 10.0 * np.log10(band_sums(change, bin_edges(OCTAVES, N_FFT)).astype(np.float64) + 1e-10)


def percussiveness(sound: Sound) -> Array:
    """Share of percussive energy in all, then in low, middle and high bands [shape=(4, n_frames)].

    The median over time is compared with the median over frequency, in bins up to 5.5 kHz.
    """
    power = sound.power[: N_FFT // 4]
    lasting = _row_medians(power, HARMONIC_FRAMES) ** 2
    broad = _row_medians(power.T, PERCUSSIVE_BINS).T ** 2
    percussive = power * (broad / (lasting + broad))
    edges = bin_edges((0.0, 250.0, 2000.0, SR / 4), N_FFT)
    shares = band_sums(percussive, edges) / band_sums(power, edges)
    return np.vstack([percussive.sum(axis=0) / power.sum(axis=0), shares]).astype(np.float64)


def _row_medians(rows: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Running medians along rows, which are concatenated because a 1-D filter is faster."""
    from scipy.ndimage import median_filter

    reach = width // 2
    padded = np.pad(rows, ((0, 0), (reach, reach)), mode="edge")
    medians = median_filter(padded.ravel(), size=width).reshape(padded.shape)
    return np.asarray(medians[:, reach:-reach])


GROUPS = (
    Tracks(
        descriptors=tuple(f"texture.{name}" for name in LAYERS),
        statistics=FULL,
        measure=layers,
    ),
    Values(
        names=(
            *(f"texture.layers_{i}.share" for i in range(N_LAYERS + 1)),
            *(f"texture.layers_{start}_to_{end}.rate" for start, end in TRANSITIONS),
        ),
        measure=layer_states,
    ),
    Tracks(
        descriptors=("texture.partials", "texture.partial_share"),
        statistics=FULL,
        measure=partials,
    ),
    Tracks(
        descriptors=tuple(f"texture.octave_{i}" for i in range(N_OCTAVES)),
        statistics=COURSE,
        measure=octave_levels,
    ),
    Tracks(
        descriptors=tuple(f"texture.flux_{i}" for i in range(N_OCTAVES)),
        statistics=SHAPE,
        measure=octave_flux,
    ),
    Tracks(
        descriptors=tuple(
            f"texture.percussiveness_{name}" for name in ("all", "low", "middle", "high")
        ),
        statistics=COURSE,
        measure=percussiveness,
    ),
)
