"""Statistics over time of librosa's descriptors: a clip as 100 numbers with readable names.

A name says dimension, descriptor and statistic: `timbre.mfcc_01.mean`, `harmony.chroma_c.mean`,
`rhythm.tempo`. All descriptors share one short-time Fourier transform of 2048 samples every 512.

References
----------
B. McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
R. Panda, R. Malheiro, R. P. Paiva, "Audio features for music emotion recognition: a survey",
IEEE Transactions on Affective Computing 14(1), 2023.
D. Temperley, "The cognition of basic musical structures", MIT Press, 2001 (profiles of the keys).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Named: TypeAlias = Iterator[tuple[str, float]]

_N_FFT = 2048
_HOP = 512
_MIN_SR = 16000

_MFCCS = tuple(f"timbre.mfcc_{number:02d}" for number in range(1, 21))
_CONTRASTS = tuple(f"timbre.contrast_{band}" for band in range(1, 8))
_SHAPES = tuple(
    f"timbre.{name}"
    for name in (
        "centroid",
        "bandwidth",
        "rolloff",
        "flatness",
        "zero_crossing_rate",
        "entropy",
        "high_share",
    )
)
_CHROMAS = tuple(
    f"harmony.chroma_{pitch}"
    for pitch in (
        *("c", "c_sharp", "d", "d_sharp", "e", "f"),
        *("f_sharp", "g", "g_sharp", "a", "a_sharp", "b"),
    )
)
_TONNETZ = tuple(
    f"harmony.tonnetz_{axis}"
    for axis in ("fifth_x", "fifth_y", "minor_x", "minor_y", "major_x", "major_y")
)

_BOTH = ("mean", "std")

LIBROSA_STATISTICS: tuple[str, ...] = (
    *(f"{name}.{statistic}" for name in (*_MFCCS, *_CONTRASTS, *_SHAPES) for statistic in _BOTH),
    *(f"{name}.mean" for name in (*_CHROMAS, *_TONNETZ)),
    "harmony.chroma_flux.mean",
    "harmony.major_over_minor",
    "dynamics.rms.mean",
    "dynamics.rms.std",
    "dynamics.rms.range_db",
    "dynamics.low_energy_share",
    "dynamics.crest_factor",
    "rhythm.onset_strength.mean",
    "rhythm.onset_strength.std",
    "rhythm.onset_strength.max",
    "rhythm.onset_rate",
    "rhythm.tempo",
    "rhythm.pulse_clarity",
    "rhythm.silence_share",
)
"""Names of the statistics, in the order of `librosa_statistics`."""

_MAJOR_PROFILE = np.array([5.0, 2.0, 3.5, 2.0, 4.5, 4.0, 2.0, 4.5, 2.0, 3.5, 1.5, 4.0])
_MINOR_PROFILE = np.array([5.0, 2.0, 3.5, 4.5, 2.0, 4.0, 2.0, 4.5, 3.5, 2.0, 1.5, 4.0])


def librosa_statistics(y: NDArray[np.floating], *, sr: int) -> NDArray[np.float64]:
    """Describe a clip by the 100 statistics of `LIBROSA_STATISTICS`.

    Parameters
    ----------
    y : np.ndarray [shape=(n_samples,)]
        Mono audio, at least one sample. Less than one frame of 2048 is filled up with silence.
    sr
        Sampling rate of `y`, in hertz; at least 16 000, for the highest contrast band.

    Returns
    -------
    np.ndarray [shape=(100,)]
        All finite, for silence too. Frequencies are in hertz, tempo in beats per minute, onset rate
        per second, `range_db` in decibels; shares lie between 0 and 1.

    Raises
    ------
    ValueError
        If `y` is empty, has more than one dimension or holds NaN or infinity, or `sr` is too low.

    References
    ----------
    G. Tzanetakis, P. Cook, "Musical genre classification of audio signals", IEEE Transactions on
    Speech and Audio Processing 10(5), 2002 (low-energy share).
    O. Lartillot, T. Eerola, P. Toiviainen, J. Fornari, "Multi-feature modeling of pulse clarity",
    ISMIR 2008.
    """
    samples = _checked(y, sr)
    import librosa

    spectrum = np.abs(librosa.stft(samples, n_fft=_N_FFT, hop_length=_HOP))
    mel_db = librosa.power_to_db(librosa.feature.melspectrogram(S=spectrum**2, sr=sr))
    rms = librosa.feature.rms(y=samples, frame_length=_N_FFT, hop_length=_HOP)[0]
    values = dict(
        chain(
            _timbre(samples, spectrum, mel_db, sr),
            _harmony(spectrum, sr),
            _dynamics(samples, rms),
            _rhythm(mel_db, rms, sr),
        )
    )
    return np.array([values[name] for name in LIBROSA_STATISTICS], dtype=np.float64)


def _checked(y: NDArray[np.floating], sr: int) -> NDArray[np.float32]:
    if sr < _MIN_SR:
        raise ValueError(f"sr must be at least {_MIN_SR} Hz, got {sr}: resample y first")
    if y.ndim != 1 or y.size == 0:
        raise ValueError(f"y must be mono with at least one sample, got shape {y.shape}")
    if not np.isfinite(y).all():
        raise ValueError("y holds NaN or infinite samples: decode the clip again")
    return np.pad(y.astype(np.float32), (0, max(0, _N_FFT - y.size)))


def _mean_and_std(names: Sequence[str], rows: Array) -> Named:
    for name, row in zip(names, rows, strict=True):
        yield f"{name}.mean", row.mean()
        yield f"{name}.std", row.std()


def _means(names: Sequence[str], rows: Array) -> Named:
    for name, row in zip(names, rows, strict=True):
        yield f"{name}.mean", row.mean()


def _timbre(samples: NDArray[np.float32], spectrum: Array, mel_db: Array, sr: int) -> Named:
    import librosa

    feature = librosa.feature
    shapes = np.vstack(
        [
            feature.spectral_centroid(S=spectrum, sr=sr),
            feature.spectral_bandwidth(S=spectrum, sr=sr),
            feature.spectral_rolloff(S=spectrum, sr=sr),
            feature.spectral_flatness(S=spectrum),
            feature.zero_crossing_rate(samples, frame_length=_N_FFT, hop_length=_HOP),
            _spectral_entropy(spectrum),
            _high_share(spectrum, sr),
        ]
    )
    yield from _mean_and_std(_MFCCS, feature.mfcc(S=mel_db, n_mfcc=len(_MFCCS)))
    yield from _mean_and_std(_CONTRASTS, feature.spectral_contrast(S=spectrum, sr=sr))
    yield from _mean_and_std(_SHAPES, shapes)


def _power_shares(spectrum: Array) -> Array:
    power = spectrum.astype(np.float64) ** 2
    total: Array = power.sum(axis=0)
    return power / np.where(total > 0, total, 1.0)


def _spectral_entropy(spectrum: Array) -> Array:
    """Entropy of each frame's power over frequency: 0 for one bin or silence, 1 if flat."""
    shares = _power_shares(spectrum)
    information = -shares * np.log(np.where(shares > 0, shares, 1.0))
    entropy: Array = information.sum(axis=0) / np.log(len(shares))
    return entropy


def _high_share(spectrum: Array, sr: int) -> Array:
    """Share of each frame's power above 1500 Hz."""
    first_bin = round(1500 * _N_FFT / sr)
    share: Array = _power_shares(spectrum)[first_bin:].sum(axis=0)
    return share


def _harmony(spectrum: Array, sr: int) -> Named:
    import librosa

    chroma = librosa.feature.chroma_stft(S=spectrum**2, sr=sr, tuning=0.0)
    yield from _means(_CHROMAS, chroma)
    yield from _means(_TONNETZ, librosa.feature.tonnetz(chroma=chroma, sr=sr))
    yield "harmony.chroma_flux.mean", np.abs(np.diff(chroma, axis=1, prepend=chroma[:, :1])).mean()
    yield "harmony.major_over_minor", _major_over_minor(chroma.mean(axis=1))


def _major_over_minor(chroma: Array) -> float:
    """Best correlation with a major key's profile less the best with a minor one's."""
    centred = chroma - chroma.mean()
    norm = np.linalg.norm(centred)
    if norm < 1e-6:
        return 0.0
    major, minor = (
        max(np.corrcoef(np.roll(profile, key), centred)[0, 1] for key in range(12))
        for profile in (_MAJOR_PROFILE, _MINOR_PROFILE)
    )
    return float(major - minor)


def _dynamics(samples: NDArray[np.float32], rms: Array) -> Named:
    quiet, loud = np.percentile(20 * np.log10(np.maximum(rms, 1e-5)), (5, 95))
    overall = np.sqrt(np.mean(samples.astype(np.float64) ** 2))
    yield from _mean_and_std(("dynamics.rms",), rms[np.newaxis])
    yield "dynamics.rms.range_db", loud - quiet
    yield "dynamics.low_energy_share", np.mean(rms < rms.mean())
    yield "dynamics.crest_factor", np.abs(samples).max() / overall if overall > 0 else 0.0


def _rhythm(mel_db: Array, rms: Array, sr: int) -> Named:
    import librosa

    strength = librosa.onset.onset_strength(S=mel_db, sr=sr, hop_length=_HOP)
    onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=sr, hop_length=_HOP)
    yield from _mean_and_std(("rhythm.onset_strength",), strength[np.newaxis])
    yield "rhythm.onset_strength.max", strength.max()
    yield "rhythm.onset_rate", len(onsets) * sr / (_HOP * len(strength))
    yield "rhythm.tempo", librosa.feature.tempo(onset_envelope=strength, sr=sr, hop_length=_HOP)[0]
    yield "rhythm.pulse_clarity", _pulse_clarity(strength, sr)
    yield "rhythm.silence_share", np.mean(rms <= 0.01 * rms.max())


def _pulse_clarity(strength: Array, sr: int) -> float:
    """Highest autocorrelation of the onset strength at the lags of 40 to 200 beats per minute."""
    centred = strength - strength.mean()
    correlation = np.correlate(centred, centred, mode="full")[len(centred) - 1 :]
    frames_per_minute = 60 * sr / _HOP
    beats = correlation[round(frames_per_minute / 200) : round(frames_per_minute / 40)]
    if correlation[0] < 1e-6 or beats.size == 0:
        return 0.0
    return float(beats.max() / correlation[0])
