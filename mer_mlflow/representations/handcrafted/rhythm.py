"""Rhythm: onsets, tempo, clarity and regularity of the pulse, and fluctuation patterns.

References
----------
O. Lartillot, T. Eerola, P. Toiviainen, J. Fornari, "Multi-feature modeling of pulse clarity",
ISMIR 2008.
P. Grosche, M. Müller, F. Kurth, "Cyclic tempogram", ICASSP 2010 (local periodicity).
E. Pampalk, A. Rauber, D. Merkl, "Content-based organization and visualization of music archives",
ACM Multimedia 2002 (fluctuation patterns); E. Pampalk, "Computational models of music similarity",
PhD thesis, TU Wien, 2006 (their gravity, focus, bass and aggressiveness).
D. Ellis, "Beat tracking by dynamic programming", Journal of New Music Research 36, 2007.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.handcrafted.groups import Events, Tracks, Values
from mer_mlflow.representations.handcrafted.sound import HOP, N_OCTAVES, SR, Sound, frames_of
from mer_mlflow.representations.handcrafted.statistics import FULL

Array = NDArray[np.float64]

RATE = SR / HOP
"""Frames per second [Hz]."""
RANGES = ("all", "bass", "low", "middle", "high", "highest")
PERIODS = tuple(0.2 * 2.0 ** (i / 4) for i in range(14))
"""Periods of the periodicity features [s], 300 to 32 beats per minute."""
BEAT_PERIODS = (0.3, 1.5)
"""Periods of a beat [s], 200 to 40 beats per minute."""
LONGEST_LAG = round(4.0 * RATE)
TEMPOGRAM_FRAMES = 256
"""Window of local periodicity and fluctuation patterns in frames, 6 s."""
FLUCTUATIONS = (0.3, 0.6, 1.0, 1.6, 2.4, 3.4, 4.6, 6.0, 8.0, 11.0)
"""Edges of fluctuation rates [Hz]."""
N_FLUCTUATIONS = len(FLUCTUATIONS) - 1


def onset_strengths(sound: Sound) -> Array:
    """Onset strength in all bands, then by range [shape=(6, n_frames)]."""
    return sound.onset_strength


def _periodicity(strengths: Array) -> Array:
    """Autocorrelation, 1 at lag 0 or 0 throughout [shape=(n_rows, LONGEST_LAG + 1)]."""
    librosa = import_librosa()

    centred = strengths - strengths.mean(axis=1, keepdims=True)
    longest = min(LONGEST_LAG + 1, centred.shape[1])
    correlation = np.zeros((len(centred), LONGEST_LAG + 1))
    correlation[:, :longest] = librosa.autocorrelate(centred, max_size=longest, axis=1)
    energy = correlation[:, :1]
    scaled: Array = np.zeros_like(correlation)
    np.divide(correlation, energy, out=scaled, where=energy > 1e-9)
    return scaled


def periodicity(sound: Sound) -> Array:
    """Autocorrelation of the onset strength at `PERIODS` [shape=(14,)]."""
    correlation = _periodicity(sound.onset_strength[:1])[0]
    periods = np.array(PERIODS) * RATE
    return np.asarray(np.interp(periods, np.arange(len(correlation)), correlation))


def _beat_lags() -> slice:
    return slice(round(BEAT_PERIODS[0] * RATE), round(BEAT_PERIODS[1] * RATE) + 1)


def pulse(sound: Sound) -> Array:
    """Values in the order of `PULSE`."""
    strengths = sound.onset_strength
    correlation = _periodicity(strengths)
    beats = correlation[:, _beat_lags()]
    clarity = beats.max(axis=1)
    lag = int(beats[0].argmax()) + _beat_lags().start
    whole = correlation[0]
    lags = np.arange(len(whole))
    multiples = np.interp([lag / 3, lag / 2, 1.5 * lag, 2 * lag, 3 * lag], lags, whole, right=0.0)
    positive = np.maximum(whole[1:], 0.0)
    return np.array(
        [
            60.0 * RATE / lag,
            *clarity,
            *multiples,
            whole[1:].min(),
            whole[1:].std(),
            _entropy(positive),
            *(_rate(sound, strength) for strength in strengths),
        ]
    )


def _entropy(weights: Array) -> float:
    """Entropy of weights: 0 for a single one or none, 1 if all are equal."""
    total = weights.sum()
    if total <= 0.0:
        return 0.0
    shares = weights[weights > 0.0] / total
    return float(-(shares * np.log(shares)).sum() / np.log(len(weights)))


def _rate(sound: Sound, strength: Array) -> float:
    """Prominent peaks of the onset strength per second."""
    from scipy.signal import find_peaks

    deviation = strength.std()
    if deviation <= 1e-6:
        return 0.0
    peaks, _ = find_peaks(strength, height=strength.mean() + deviation, distance=3)
    return len(peaks) / sound.seconds


PULSE = (
    "periodicity.tempo",
    *(f"pulse_clarity.{name}" for name in RANGES),
    *(f"periodicity.{name}" for name in ("third", "half", "dotted", "double", "triple")),
    *(f"periodicity.{name}" for name in ("min", "std", "entropy")),
    *(f"onset_rate.{name}" for name in RANGES),
)


def beats(sound: Sound) -> Array:
    """Values in the order of `BEATS`."""
    librosa = import_librosa()

    strength = sound.onset_strength[0]
    if strength.max() <= 0.0:
        return np.zeros(len(BEATS))
    tempo, frames = librosa.beat.beat_track(
        onset_envelope=strength, sr=SR, hop_length=HOP, units="frames"
    )
    if len(frames) < 3:
        return np.array([float(np.ravel(tempo)[0]), *np.zeros(len(BEATS) - 1)])
    scaled = (strength - strength.mean()) / max(strength.std(), 1e-9)
    intervals = np.diff(frames)
    halves = (frames[:-1] + intervals / 2).round().astype(np.int64)
    on_beats = scaled[frames]
    return np.array(
        [
            float(np.ravel(tempo)[0]),
            intervals.std() / intervals.mean(),
            on_beats.mean(),
            on_beats.std(),
            scaled[halves].mean(),
            abs(on_beats[::2].mean() - on_beats[1::2].mean()),
        ]
    )


BEATS = (
    *("tempo", "interval_variation", "strength", "strength_std", "offbeat_strength", "alternation"),
)


def local_pulse(sound: Sound) -> Array:
    """Height, period [s, logarithm] and entropy of local periodicity [shape=(3, n_windows)]."""
    strength = sound.onset_strength[0]
    length = min(TEMPOGRAM_FRAMES, len(strength))
    windows = frames_of(strength, length, TEMPOGRAM_FRAMES // 8)
    correlation = _periodicity(np.asarray(windows))
    beats = correlation[:, _beat_lags()]
    period = (beats.argmax(axis=1) + _beat_lags().start) / RATE
    entropies = [_entropy(np.maximum(row, 0.0)) for row in beats]
    return np.stack([beats.max(axis=1), np.log2(period), np.array(entropies)])


def intervals(sound: Sound) -> tuple[Array, Array]:
    """Inter-onset intervals [s], and logarithms of the ratios of successive ones."""
    between = np.diff(sound.onsets) / RATE
    return between, np.abs(np.diff(np.log2(between)))


def _fluctuation(sound: Sound) -> Array:
    """Fluctuation strength [shape=(N_OCTAVES, n_rates)], median of windows of 6 s."""
    levels = np.asarray(sound.octaves, dtype=np.float64) ** 0.23
    length = min(TEMPOGRAM_FRAMES, levels.shape[1])
    windows = np.lib.stride_tricks.sliding_window_view(levels, length, axis=1)
    windows = windows[:, :: TEMPOGRAM_FRAMES // 2]
    centred = windows - windows.mean(axis=2, keepdims=True)
    amplitudes = np.abs(np.fft.rfft(centred * np.hanning(length), n=TEMPOGRAM_FRAMES, axis=2))
    rates = np.fft.rfftfreq(TEMPOGRAM_FRAMES, 1.0 / RATE)
    weights = 1.0 / (np.maximum(rates, 1e-3) / 4.0 + 4.0 / np.maximum(rates, 1e-3))
    return np.asarray(np.median(amplitudes, axis=1) * weights / length)


def fluctuations(sound: Sound) -> Array:
    """Fluctuation by octave and rate [dB], then values in the order of `FLUCTUATION_SHAPE`."""
    pattern = _fluctuation(sound)
    edges = np.round(np.array(FLUCTUATIONS) * TEMPOGRAM_FRAMES / RATE).astype(np.int64)
    cells = np.add.reduceat(pattern[:, : edges[-1]], edges[:-1], axis=1)
    decibels = 20.0 * np.log10(cells + 1e-5)
    total = max(float(cells.sum()), 1e-12)
    by_rate, by_octave = cells.sum(axis=0) / total, cells.sum(axis=1) / total
    shares = cells / max(float(cells.max()), 1e-12)
    return np.array(
        [
            *decibels.ravel(),
            20.0 * np.log10(total + 1e-5),
            20.0 * np.log10(cells.max() + 1e-5),
            by_rate @ np.arange(N_FLUCTUATIONS),
            by_octave @ np.arange(N_OCTAVES),
            shares.mean(),
            cells[:2, 2:].sum() / total,
            cells[2:, :2].sum() / total,
            _entropy(cells.ravel()),
        ]
    )


FLUCTUATION_SHAPE = (
    *("sum", "max", "gravity", "octave_gravity", "focus", "bass", "aggressiveness", "entropy"),
)

GROUPS = (
    Tracks(
        descriptors=tuple(f"rhythm.onset_strength_{name}" for name in RANGES),
        statistics=FULL,
        measure=onset_strengths,
    ),
    Values(
        names=tuple(f"rhythm.periodicity.{1000 * period:04.0f}_ms" for period in PERIODS),
        measure=periodicity,
    ),
    Values(names=tuple(f"rhythm.{name}" for name in PULSE), measure=pulse),
    Values(names=tuple(f"rhythm.beat.{name}" for name in BEATS), measure=beats),
    Tracks(
        descriptors=("rhythm.local_clarity", "rhythm.local_period", "rhythm.local_entropy"),
        statistics=("mean", "std", "p05", "p95"),
        measure=local_pulse,
        hop_length=HOP * TEMPOGRAM_FRAMES // 8,
    ),
    Events(
        descriptors=("rhythm.onset_interval", "rhythm.onset_interval_change"),
        statistics=("mean", "std", "skewness", "p05", "p95"),
        measure=intervals,
    ),
    Values(
        names=(
            *(
                f"rhythm.fluctuation.octave_{octave}_rate_{rate}"
                for octave in range(N_OCTAVES)
                for rate in range(N_FLUCTUATIONS)
            ),
            *(f"rhythm.fluctuation.{name}" for name in FLUCTUATION_SHAPE),
        ),
        measure=fluctuations,
    ),
)
