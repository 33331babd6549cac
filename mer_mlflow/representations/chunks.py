"""Chunks: a waveform or mel spectrogram split into segments of equal length."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.mel import Mel
from mer_mlflow.representations.representation import parameter_key
from mer_mlflow.representations.waveform import Waveform


@dataclass(frozen=True, kw_only=True)
class Chunks:
    """Segments of a clip of equal length, as many as fit into the excerpt without overlap.

    Consecutive chunks have no gap; an incomplete last chunk is dropped. In a clip shorter than the
    excerpt, chunks overlap: they are spread evenly over the recorded part, so that no chunk is
    only padding.

    Attributes
    ----------
    of : representation that is split
    length : int > 0, samples or frames of a chunk; 59 049 samples are 3.69 s at 16 kHz
    """

    of: Waveform | Mel
    length: int
    table: ClassVar[None] = None
    is_handcrafted: ClassVar[bool] = False
    network: ClassVar[None] = None
    weights: ClassVar[None] = None

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key(f"chunks-{type(self.of).__name__.lower()}", 2, self)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_chunks, ..., length); one padded chunk if the excerpt is shorter than a chunk."""
        *leading, last = self.of.shape
        return (max(1, last // self.length), *leading, self.length)

    @property
    def dtype(self) -> str:
        """Data type of the chunks."""
        return self.of.dtype

    @property
    def is_spectrogram(self) -> bool:
        """Whether the chunks are spectrograms."""
        return self.of.is_spectrogram

    @property
    def duration(self) -> float:
        """Excerpt of each clip [s]."""
        return self.of.duration

    @property
    def cost(self) -> float:
        """Time to compute the array of a clip of 30 s on one core [s]."""
        return self.of.cost

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]."""
        return self.of.required_seconds

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute the chunks of one clip [shape=(n_chunks, ..., length)]."""
        whole = self.of.compute(audio)
        missing = self.length - whole.shape[-1]
        if missing > 0:
            silence = [(0, 0)] * (whole.ndim - 1) + [(0, missing)]
            whole = np.pad(whole, silence, constant_values=whole.min() if whole.ndim > 1 else 0.0)
        starts = self._starts(recorded=self.of.recorded(audio))
        return np.stack([whole[..., start : start + self.length] for start in starts])

    def _starts(self, *, recorded: int) -> NDArray[np.int64]:
        n_chunks = self.shape[0]
        if recorded >= n_chunks * self.length:
            return np.arange(n_chunks) * self.length
        last = max(0, recorded - self.length)
        return np.linspace(0, last, n_chunks).round().astype(np.int64)

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, of=self.of.with_duration(duration))
