"""Chunks: a waveform or mel spectrogram cut into equal pieces along time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.mel import Mel
from mer_mlflow.representations.representation import parameter_key
from mer_mlflow.representations.waveform import Waveform


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """Consecutive pieces of a clip without overlap; a last incomplete piece is left out.

    Attributes
    ----------
    of : what is cut
    length : int > 0, samples or frames of a chunk; 59 049 samples are 3.69 s at 16 kHz
    """

    of: Waveform | Mel
    length: int

    @property
    def key(self) -> str:
        """Name, version and parameters in one word."""
        return parameter_key(f"chunks-{type(self.of).__name__.lower()}", 1, self)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_chunks, ..., length); one chunk, padded, where the excerpt is shorter than that."""
        *leading, last = self.of.shape
        return (max(1, last // self.length), *leading, self.length)

    @property
    def dtype(self) -> str:
        """Data type of what is cut."""
        return self.of.dtype

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Chunks of one clip [shape=(n_chunks, ..., length)]."""
        whole = self.of.compute(audio)
        n_chunks = self.shape[0]
        missing = n_chunks * self.length - whole.shape[-1]
        if missing > 0:
            silence = [(0, 0)] * (whole.ndim - 1) + [(0, missing)]
            whole = np.pad(whole, silence, constant_values=whole.min() if whole.ndim > 1 else 0.0)
        pieces = whole[..., : n_chunks * self.length].reshape(
            *whole.shape[:-1], n_chunks, self.length
        )
        return np.moveaxis(pieces, -2, 0)

    def with_duration(self, duration: float) -> Self:
        """Return the same representation of another excerpt length [s]."""
        return replace(self, of=self.of.with_duration(duration))
