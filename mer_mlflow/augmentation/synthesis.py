"""Synthesised clips: representations of changed audio, kept in the store beside the recordings'."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.augmentation.transform import Transform
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.representations import (
    Chunks,
    Examples,
    Features,
    Handcrafted,
    Input,
    Mel,
    Store,
    StoredArray,
    Waveform,
)
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.examples import ClipArray

SPARE = 2.0
"""Excerpts of audio that are changed for one: a stretch reads more than it leaves."""


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """A representation of a clip's audio after a transform, a pure function of the audio.

    Attributes
    ----------
    of : what is computed of the changed audio
    by : the change
    seed : int >= 0; the change of each clip is drawn from it and the clip's samples
    """

    of: Mel | Waveform | Chunks
    by: Transform
    seed: int

    @property
    def key(self) -> str:
        """Keys of representation and transform, and the seed."""
        return f"{self.of.key}-{self.by.key}-{self.seed}"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's array."""
        return self.of.shape

    @property
    def dtype(self) -> str:
        """Data type of one clip's array."""
        return self.of.dtype

    @property
    def duration(self) -> float:
        """Excerpt of each clip [s]."""
        return self.of.duration

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Represent one changed clip [shape=self.shape]."""
        enough = round(SPARE * self.of.duration * audio.sr)
        excerpt = replace(audio, samples=audio.samples[:enough])
        rng = np.random.default_rng((self.seed, zlib.crc32(audio.samples.tobytes())))
        return self.of.compute(self.by.apply(excerpt, rng))

    def with_duration(self, duration: float) -> Self:
        """Return the same representation of another excerpt length [s]."""
        return replace(self, of=self.of.with_duration(duration))


def with_synthesised(
    examples: Examples,
    clips: Clips,
    inputs: Sequence[Input],
    *,
    transforms: Sequence[Transform],
    seed: int,
    store: Store,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Examples:
    """Add a synthesised copy of every clip by each transform.

    Handcrafted features are not computed again: a copy has those of its source.

    Parameters
    ----------
    examples : of all clips, recordings only
    clips : the clips
    inputs : what the examples hold of each clip
    transforms : the changes
    seed : int >= 0, of the sizes that are drawn
    store : where representations are kept
    on_progress : called with (computed, to compute) after each clip

    Returns
    -------
    the examples followed by the copies, whose ``sources`` are the clips that they were made of

    Raises
    ------
    AudioError
        If audio files cannot be decoded.
    """
    if not transforms:
        return examples

    def copies(item: Input, own: ClipArray) -> list[ClipArray]:
        if isinstance(item, Features | Handcrafted):
            return [own] * len(transforms)
        return [
            store.fill(clips, Synthesised(of=item, by=by, seed=seed), on_progress=on_progress)
            for by in transforms
        ]

    n_rows = len(clips) * (1 + len(transforms))
    sources = np.arange(n_rows) % len(clips)
    return Examples(
        inputs=tuple(
            _joined([own, *copies(item, own)])
            for item, own in zip(inputs, examples.inputs, strict=True)
        ),
        positions=np.arange(n_rows),
        quadrants=examples.labels[sources],
        sources=sources,
    )


def _joined(arrays: Sequence[ClipArray]) -> ClipArray:
    stored = [array for array in arrays if isinstance(array, StoredArray)]
    if len(stored) < len(arrays):
        return np.concatenate([np.asarray(array) for array in arrays])
    paths = tuple(path for array in stored for path in array.paths)
    return replace(stored[0], paths=paths)
