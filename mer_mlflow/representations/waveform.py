"""Waveform: the samples of a clip's excerpt."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample
from mer_mlflow.representations.representation import parameter_key


@dataclass(frozen=True, kw_only=True)
class Waveform:
    """Mono samples, resampled, cropped or zero-padded to one length.

    Attributes
    ----------
    sr : int > 0 [Hz]
    duration : float > 0 [s]
    dtype : ``"float32"`` or ``"float16"``, data type in the store
    """

    sr: int = 16_000
    duration: float = 30.0
    dtype: str = "float32"
    cost: ClassVar[float] = 0.015
    table: ClassVar[None] = None
    is_handcrafted: ClassVar[bool] = False
    is_spectrogram: ClassVar[bool] = False
    network: ClassVar[None] = None
    weights: ClassVar[None] = None

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("waveform", 1, self)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_samples,)."""
        return (round(self.duration * self.sr),)

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]."""
        return self.duration

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute the samples of one clip [shape=(n_samples,)]."""
        return resample(audio, sr=self.sr, duration=self.duration).astype(self.dtype)

    def recorded(self, audio: Audio) -> int:
        """Return the number of samples that are not padding."""
        return min(self.shape[0], round(audio.seconds * self.sr))

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, duration=duration)
