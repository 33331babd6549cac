"""Mel: the log-power mel spectrogram.

References
----------
B. McFee et al., "librosa: Audio and music signal analysis in Python", SciPy 2015.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.audio import Audio, resample
from mer_mlflow.representations.representation import parameter_key

FRAMES_AT_ONCE = 32
"""Number of frames whose spectra fit into the cache of a processor; results do not depend on it."""
FLOOR = 1e-10
"""Minimum power before the logarithm, librosa's ``amin``."""


@dataclass(frozen=True, kw_only=True)
class Mel:
    """Log-power mel spectrogram with librosa's default parameters at 16 kHz.

    It equals ``librosa.power_to_db(librosa.feature.melspectrogram(...), top_db=...)`` to 1e-4 dB.
    The level is not normalised (0 dB is a power of 1), because loudness is related to arousal.
    Standardisation is fitted on the training clips of a fold, and is not part of this.

    Attributes
    ----------
    sr : int > 0 [Hz]
    duration : float > 0 [s]
    n_fft : int > 0, samples of a frame
    hop_length : int > 0, samples between frames
    n_mels : int > 0, mel bands up to sr / 2
    top_db : float > 0 [dB], dynamic range below the clip's maximum
    dtype : ``"float32"`` or ``"float16"``, data type in the store
    """

    sr: int = 16_000
    duration: float = 30.0
    n_fft: int = 2048
    hop_length: int = 512
    n_mels: int = 128
    top_db: float = 80.0
    dtype: str = "float32"
    cost: ClassVar[float] = 0.02
    table: ClassVar[None] = None
    is_handcrafted: ClassVar[bool] = False
    is_spectrogram: ClassVar[bool] = True
    network: ClassVar[None] = None
    weights: ClassVar[None] = None

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("mel", 2, self)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_mels, n_frames), 128 x 938 for 30 s."""
        return (self.n_mels, 1 + round(self.duration * self.sr) // self.hop_length)

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]."""
        return self.duration

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute the spectrogram of one clip in decibels [shape=(n_mels, n_frames)]."""
        import scipy.fft
        import scipy.signal

        samples = resample(audio, sr=self.sr, duration=self.duration)
        padded = np.pad(samples, self.n_fft // 2)
        frames = np.lib.stride_tricks.sliding_window_view(padded, self.n_fft)[:: self.hop_length]
        window = scipy.signal.get_window("hann", self.n_fft)
        power = np.empty((len(frames), self.n_fft // 2 + 1), dtype=np.float32)
        for first in range(0, len(frames), FRAMES_AT_ONCE):
            block = slice(first, first + FRAMES_AT_ONCE)
            spectrum = scipy.fft.rfft(frames[block] * window, axis=1)
            power[block] = spectrum.real**2 + spectrum.imag**2
        mel = _filterbank(self.sr, self.n_fft, self.n_mels) @ power.T
        decibels = 10.0 * np.log10(np.maximum(mel, FLOOR))
        limited: NDArray[np.floating] = np.maximum(decibels, decibels.max() - self.top_db)
        return limited.astype(self.dtype)

    def recorded(self, audio: Audio) -> int:
        """Return the number of frames that are not only padding."""
        return min(self.shape[1], 1 + round(audio.seconds * self.sr) // self.hop_length)

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, duration=duration)


@cache
def _filterbank(sr: int, n_fft: int, n_mels: int) -> Any:
    """Return mel filters as a sparse matrix: a dense product would use every core, although a
    filter covers few bins."""
    import scipy.sparse

    librosa = import_librosa()
    return scipy.sparse.csr_array(librosa.filters.mel(sr=sr, n_fft=n_fft, n_mels=n_mels))
