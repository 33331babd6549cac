"""Synthesised clips: representations of transformed audio, cached in the store."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.augmentation.masking import TimeFrequencyMask
from mer_mlflow.augmentation.transform import Transform
from mer_mlflow.representations import (
    Examples,
    Input,
    Representation,
    StoredArray,
    representation_of,
)
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.examples import ClipArray

SYNTHESIS = 2
"""Version; raise it if the same clip, transform and seed give a different result."""
TRANSFORM_SECONDS = 0.1
"""Time of a transform of 30 s on one core [s], that of the slowest ones."""
SPARE = 2.0
"""Length of the audio that is transformed for one excerpt, in excerpts: a time stretch needs more
audio than it returns."""


@dataclass(frozen=True, kw_only=True)
class Synthesised:
    """A representation of a clip's audio after a transform, a pure function of the audio.

    Attributes
    ----------
    of : representation that is computed from the transformed audio
    by : transform
    seed : int >= 0; the factors of each clip are drawn from it, the transform and the decoded
        samples
    """

    of: Representation
    by: Transform
    seed: int

    @property
    def key(self) -> str:
        """Keys of representation and transform, version and seed."""
        return f"{self.of.key}-{self.by.key}-{SYNTHESIS}-{self.seed}"

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

    @property
    def cost(self) -> float:
        """Time to compute the array of a clip of 30 s on one core [s]."""
        return self.of.cost + TRANSFORM_SECONDS

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]; random factors depend on
        the whole file."""
        changed = 0.0 if isinstance(self.by, TimeFrequencyMask) else SPARE * self.duration
        return max(changed, self.of.required_seconds)

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Transform one clip and compute its representation [shape=self.shape]."""
        rng = np.random.default_rng((self.seed, zlib.crc32(self.by.key.encode()), audio.checksum))
        if isinstance(self.by, TimeFrequencyMask):
            return self.by.change(self.of.compute(audio), rng=rng)
        enough = round(SPARE * self.of.duration * audio.sr)
        excerpt = replace(audio, samples=audio.samples[:enough])
        return self.of.compute(self.by.apply(excerpt, duration=self.duration, rng=rng))

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, of=self.of.with_duration(duration))


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """Repetition of an array's rows, without copying them.

    Attributes
    ----------
    of : one array a clip [shape=(n_clips, ...)]
    n_times : int > 0
    """

    of: ClipArray
    n_times: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_clips * n_times, ...)."""
        n_clips, *item = self.of.shape
        return (n_clips * self.n_times, *item)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.of[rows % self.of.shape[0]]


def needed_for(
    inputs: Sequence[Input], transforms: Sequence[Transform], *, seed: int
) -> tuple[Representation, ...]:
    """Return the representations of recordings and of their synthesised copies.

    Parameters
    ----------
    inputs : inputs of a method
    transforms : transforms, each of which adds a copy of every clip
    seed : int >= 0, seed of the random factors

    Returns
    -------
    representations without duplicates; a copy has the handcrafted features of its source
    """
    found: dict[str, Representation] = {}
    for item in inputs:
        computed = representation_of(item)
        if computed is None:
            continue
        found[computed.key] = computed
        if not item.is_handcrafted:
            copies = (Synthesised(of=computed, by=by, seed=seed) for by in transforms)
            found |= {copy.key: copy for copy in copies}
    return tuple(found.values())


def with_synthesised(
    examples: Examples,
    inputs: Sequence[Input],
    *,
    transforms: Sequence[Transform],
    seed: int,
    stored: Mapping[str, StoredArray],
) -> Examples:
    """Add a synthesised copy of every clip for each transform.

    Handcrafted features are not computed again: a copy has those of its source.

    Parameters
    ----------
    examples : examples of all clips, recordings only
    inputs : inputs that the examples contain
    transforms : the transforms
    seed : int >= 0, seed of the random factors
    stored : arrays of the clips by the representation's key, for those of :func:`needed_for`

    Returns
    -------
    the examples followed by the copies, whose ``sources`` are the original clips
    """
    if not transforms:
        return examples

    def extended(item: Input, own: ClipArray) -> ClipArray:
        computed = None if item.is_handcrafted else representation_of(item)
        if computed is None:
            return Repeated(of=own, n_times=1 + len(transforms))
        kinds = needed_for((item,), transforms, seed=seed)
        paths = tuple(path for kind in kinds for path in stored[kind.key].paths)
        return replace(stored[item.key], paths=paths)

    n_clips = len(examples)
    n_rows = n_clips * (1 + len(transforms))
    sources = np.arange(n_rows) % n_clips
    return Examples(
        inputs=tuple(
            extended(item, own) for item, own in zip(inputs, examples.inputs, strict=True)
        ),
        positions=np.arange(n_rows),
        quadrants=examples.labels[sources],
        sources=sources,
        weights=examples.weights,
    )
