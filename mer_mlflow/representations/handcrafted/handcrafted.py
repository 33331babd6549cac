"""Handcrafted: descriptors of musical dimensions that express emotion, summarised over a clip.

The dimensions are those of Panda et al.: timbre, dynamics, rhythm, harmony, melody, texture and
expressivity. Each is a module, whose descriptors share the spectra of one `Sound`.

References
----------
R. Panda, R. Malheiro, R. P. Paiva, "Audio features for music emotion recognition: a survey",
IEEE Transactions on Affective Computing 14(1), 2023; "Novel audio features for music emotion
recognition", IEEE Transactions on Affective Computing 11(4), 2020.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample
from mer_mlflow.representations.handcrafted import (
    dynamics,
    expressivity,
    harmony,
    melody,
    rhythm,
    texture,
    timbre,
)
from mer_mlflow.representations.handcrafted.groups import Group
from mer_mlflow.representations.handcrafted.sound import SHORTEST, SR, Sound
from mer_mlflow.representations.representation import parameter_key

VERSION = 2
"""Version of the values; raise it if a value changes."""

DIMENSIONS = (timbre, dynamics, rhythm, harmony, melody, texture, expressivity)

GROUPS: tuple[Group, ...] = tuple(group for module in DIMENSIONS for group in module.GROUPS)
NAMES = tuple(name for group in GROUPS for name in group.names)


@dataclass(frozen=True, kw_only=True)
class Handcrafted:
    """Features of seven musical dimensions, computed at 22 050 Hz.

    Features describe the recorded part of a clip: a clip shorter than the excerpt is not padded
    with silence, unless it is shorter than one long frame, 0.37 s. All values are finite, for
    silence too; features of events such as notes are 0 for a clip without events.

    Attributes
    ----------
    duration : float > 0 [s], maximum excerpt
    dtype : ``"float32"`` or ``"float64"``, data type in the store
    """

    duration: float = 30.0
    dtype: str = "float32"
    cost: ClassVar[float] = 0.3
    table: ClassVar[None] = None
    is_handcrafted: ClassVar[bool] = True
    is_spectrogram: ClassVar[bool] = False
    network: ClassVar[None] = None
    weights: ClassVar[None] = None

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("handcrafted", VERSION, self)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the values: dimension.descriptor.statistic."""
        return NAMES

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_features,)."""
        return (len(self.names),)

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]."""
        return self.duration

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute the features of one clip [shape=(n_features,)]."""
        samples = resample(audio, sr=SR, duration=min(self.duration, audio.seconds))
        missing = max(0, SHORTEST - len(samples))
        sound = Sound(samples=np.pad(samples, (0, missing)))
        return np.concatenate([group.compute(sound) for group in GROUPS]).astype(self.dtype)

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, duration=duration)
