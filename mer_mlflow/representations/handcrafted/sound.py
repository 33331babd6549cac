"""Sound: a clip's samples and the derived arrays that several dimensions share, computed once.

All spectra are of whole frames, without padding at the ends. Levels are not normalised (a sine at
full scale has a power of 1 in its bin). A constant floor is added, so that logarithms of silence
are finite.

References
----------
B. McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
ITU-R BS.1770-5, "Algorithms to measure audio programme loudness and true-peak audio level", 2023.
E. Zwicker, H. Fastl, "Psychoacoustics: facts and models", Springer, 1999 (specific loudness).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.handcrafted import pitch

SR = 22_050
"""Sample rate of all features [Hz]."""
N_FFT, HOP = 2048, 512
"""Frames of 93 ms, 43 per second, for timbre, rhythm and melody."""
LONG_N_FFT, LONG_HOP = 8192, 2048
"""Frames of 372 ms, 11 per second, for harmony: they resolve semitones above 90 Hz."""
FINE_N_FFT, FINE_HOP = 256, 64
"""Frames of 12 ms, 345 per second, for attacks and roughness."""
SHORTEST = LONG_N_FFT
"""Minimum number of samples, one long frame; a shorter clip is padded with silence."""

BLOCK_SAMPLES = 1 << 16
"""Samples of frames whose spectra fit into the cache of a processor; values do not depend on it."""

FLOOR = 1e-9
"""Power of a silent bin."""
N_MELS = 40
OCTAVES = (0.0, 100.0, 200.0, 400.0, 800.0, 1600.0, 3200.0, 6400.0, SR / 2)
"""Edges of the octave bands [Hz]."""
N_OCTAVES = len(OCTAVES) - 1
FINE_BANDS = (0.0, 300.0, 600.0, 1200.0, 2400.0, 4800.0, SR / 2)
"""Edges of the bands with envelopes at the highest frame rate [Hz]."""
MELODY_HZ = (65.0, 1400.0)
"""Range of the melody: C2 to F6."""
HARMONY_HZ = (90.0, 1400.0)
"""Range of notes for harmony [Hz]."""

N_LAYERS = 4
"""Maximum number of simultaneous pitches."""

Array = NDArray[np.float64]
Float = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Sound:
    """A mono clip at `SR`.

    Attributes
    ----------
    samples : at least `SHORTEST` samples [shape=(n_samples,)]
    """

    samples: Float

    @property
    def seconds(self) -> float:
        """Length in seconds."""
        return len(self.samples) / SR

    @cached_property
    def power(self) -> Float:
        """Power spectrogram [shape=(1025, n_frames)]."""
        return _power_spectrogram(self.samples, N_FFT, HOP)

    @cached_property
    def log_power(self) -> Float:
        """Natural logarithm of the power spectrogram [shape=(1025, n_frames)]."""
        return np.log(self.power)

    @cached_property
    def long_power(self) -> Float:
        """Power spectrogram of long frames [shape=(4097, n_long_frames)]."""
        return _power_spectrogram(self.samples, LONG_N_FFT, LONG_HOP)

    @cached_property
    def mel(self) -> Float:
        """Power in mel bands [shape=(N_MELS, n_frames)]."""
        return np.asarray(_mel_filters() @ self.power)

    @cached_property
    def mel_db(self) -> Float:
        """Level of mel bands [dB, shape=(N_MELS, n_frames)]."""
        return np.asarray(10.0 * np.log10(self.mel), dtype=np.float32)

    @cached_property
    def octaves(self) -> Float:
        """Power in octave bands [shape=(N_OCTAVES, n_frames)]."""
        return band_sums(self.power, bin_edges(OCTAVES, N_FFT))

    @cached_property
    def loudness_db(self) -> Array:
        """K-weighted level of each frame [LUFS, shape=(n_frames,)]."""
        return np.asarray(10.0 * np.log10(_k_weights() @ self.power) - 0.691)

    @cached_property
    def specific_loudness(self) -> Array:
        """Loudness in mel bands by Stevens' law, similar to sones [shape=(N_MELS, n_frames)]."""
        return np.asarray(np.maximum(self.mel - self.mel_floor, 0.0) ** 0.23, dtype=np.float64)

    @property
    def mel_floor(self) -> Float:
        """Power of the floor in each mel band [shape=(N_MELS, 1)]."""
        return np.asarray(_mel_filters().sum(axis=1) * FLOOR, dtype=np.float32)[:, np.newaxis]

    @cached_property
    def fine_bands(self) -> Float:
        """Amplitude in `FINE_BANDS`, 345 frames per second [shape=(n_bands, n_fine_frames)]."""
        power = _power_spectrogram(self.samples, FINE_N_FFT, FINE_HOP)
        return np.sqrt(band_sums(power, bin_edges(FINE_BANDS, FINE_N_FFT)))

    @cached_property
    def onset_strength(self) -> Array:
        """Increase of level in all mel bands, then in five ranges [shape=(6, n_frames)]."""
        librosa = import_librosa()

        def strength(channels: list[int]) -> Array:
            return np.asarray(
                librosa.onset.onset_strength_multi(
                    S=self.mel_db, sr=SR, hop_length=HOP, center=False, channels=channels
                ),
                dtype=np.float64,
            )

        return np.vstack([strength([0, N_MELS]), strength([0, 4, 10, 18, 28, N_MELS])])

    @cached_property
    def onsets(self) -> NDArray[np.int64]:
        """Frames in which notes or beats begin [shape=(n_onsets,)]."""
        librosa = import_librosa()

        strength = self.onset_strength[0]
        if strength.max() <= 0.0:
            return np.zeros(0, dtype=np.int64)
        found = librosa.onset.onset_detect(
            onset_envelope=strength, sr=SR, hop_length=HOP, units="frames"
        )
        return np.asarray(found, dtype=np.int64)

    @cached_property
    def peaks(self) -> pitch.Peaks:
        """Spectral peaks of the frames, up to 5 kHz."""
        return pitch.spectral_peaks(self.power, hz_per_bin=SR / N_FFT)

    @cached_property
    def long_peaks(self) -> pitch.Peaks:
        """Spectral peaks of the long frames, up to 5 kHz."""
        return pitch.spectral_peaks(self.long_power, hz_per_bin=SR / LONG_N_FFT)

    @cached_property
    def salience(self) -> Array:
        """Salience of each pitch [shape=(n_pitches, n_frames)]."""
        return pitch.salience(self.peaks, n_frames=self.power.shape[1], between=MELODY_HZ)

    @cached_property
    def layers(self) -> Array:
        """Salience of the strongest pitch, then of the strongest one after its removal, and so on.

        [shape=(N_LAYERS, n_frames)]
        """
        return pitch.layers(self.peaks, self.salience, most=N_LAYERS, between=MELODY_HZ)

    @cached_property
    def melody(self) -> pitch.Contour:
        """Pitch of the predominant voice."""
        return pitch.track(self.salience, lowest=MELODY_HZ[0])

    @cached_property
    def notes(self) -> tuple[pitch.Note, ...]:
        """Notes of the predominant voice."""
        return pitch.notes(self.melody)

    @cached_property
    def chroma(self) -> Array:
        """Strength of pitch classes, C first [shape=(12, n_long_frames)].

        Each frame sums to 1, or is 0 if it has no pitch.
        """
        return pitch.chroma(self.long_peaks, n_frames=self.long_power.shape[1], between=HARMONY_HZ)


def frames_of(samples: Float, length: int, hop: int) -> Float:
    """Return a view of the whole frames of a signal [shape=(n_frames, length)]."""
    return np.lib.stride_tricks.sliding_window_view(samples, length)[::hop]


def bin_edges(hz: tuple[float, ...], n_fft: int) -> NDArray[np.int64]:
    """Return the first bin of each band, and the bin after the last one [shape=(n_edges,)].

    A band that ends at half the sample rate includes that bin.
    """
    edges = np.round(np.array(hz) * n_fft / SR).astype(np.int64)
    if edges[-1] == n_fft // 2:
        edges[-1] += 1
    return edges


def band_sums(power: Float, edges: NDArray[np.int64]) -> Float:
    """Sum the bins from each edge to the next [shape=(n_edges - 1, n_frames)]."""
    return np.add.reduceat(power[: edges[-1]], edges[:-1], axis=0)


def _power_spectrogram(samples: Float, n_fft: int, hop: int) -> Float:
    import scipy.fft
    import scipy.signal

    window = scipy.signal.get_window("hann", n_fft).astype(np.float32)
    scale = np.float32(4.0 / window.sum() ** 2)
    frames = frames_of(samples, n_fft, hop)
    power = np.empty((n_fft // 2 + 1, len(frames)), dtype=np.float32)
    at_once = BLOCK_SAMPLES // n_fft
    for first in range(0, len(frames), at_once):
        block = slice(first, first + at_once)
        spectrum = scipy.fft.rfft(frames[block] * window, axis=1)
        power[:, block] = (spectrum.real**2 + spectrum.imag**2).T
    power *= scale
    power += np.float32(FLOOR)
    return power


@cache
def _mel_filters() -> Any:
    """Return triangular mel filters of height 1, sparse because a dense product would use every
    core."""
    import scipy.sparse

    librosa = import_librosa()
    return scipy.sparse.csr_array(librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS, norm=None))


@cache
def _k_weights() -> Float:
    """Return the power response of BS.1770's two filters (defined at 48 kHz) in a frame's bins.

    It is divided by the window's noise bandwidth, so that the sum over bins is the mean square.
    """
    import scipy.signal

    shelf = (1.53512485958697, -2.69169618940638, 1.19839281085285)
    stages = np.array(
        [
            (*shelf, 1.0, -1.69065929318241, 0.73248077421585),
            (1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621),
        ]
    )
    hz = np.arange(N_FFT // 2 + 1) * SR / N_FFT
    _, response = scipy.signal.freqz_sos(stages, worN=hz, fs=48_000)
    noise_bandwidth = 1.5
    return np.asarray(np.abs(response) ** 2 / (2.0 * noise_bandwidth), dtype=np.float32)
