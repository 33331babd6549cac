"""Handcrafted: descriptors of what music expresses emotion by, summarised over a clip.

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

VERSION = 1
"""Raised whenever a value changes."""

DIMENSIONS = (timbre, dynamics, rhythm, harmony, melody, texture, expressivity)

GROUPS: tuple[Group, ...] = tuple(group for module in DIMENSIONS for group in module.GROUPS)
NAMES = tuple(name for group in GROUPS for name in group.names)


@dataclass(frozen=True, kw_only=True)
class Handcrafted:
    """Features of seven musical dimensions, computed at 22 050 Hz.

    A clip is described by what was recorded of it: one that is shorter than the excerpt is not
    filled up with silence, unless it is shorter than one long frame, 0.37 s. All values are finite,
    for silence too; a feature of events that a clip lacks, such as notes, is 0.

    Attributes
    ----------
    duration : float > 0 [s], longest excerpt that is described
    dtype : ``"float32"`` or ``"float64"``, as stored
    """

    duration: float = 30.0
    dtype: str = "float32"
    table: ClassVar[None] = None
    is_handcrafted: ClassVar[bool] = True
    is_spectrogram: ClassVar[bool] = False
    network: ClassVar[None] = None
    weights: ClassVar[None] = None

    @property
    def key(self) -> str:
        """Name, version and parameters in one word."""
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
    def heard(self) -> float:
        """Beginning of a clip that its array depends on [s]."""
        return self.duration

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Features of one clip [shape=(n_features,)]."""
        samples = resample(audio, sr=SR, duration=min(self.duration, audio.seconds))
        missing = max(0, SHORTEST - len(samples))
        sound = Sound(samples=np.pad(samples, (0, missing)))
        return np.concatenate([group.compute(sound) for group in GROUPS]).astype(self.dtype)

    def with_duration(self, duration: float) -> Self:
        """Return the same representation of another excerpt length [s]."""
        return replace(self, duration=duration)
