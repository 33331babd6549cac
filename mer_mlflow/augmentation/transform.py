"""What a transform is: a way to make another clip of the same emotion out of one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mer_mlflow.representations.audio import Audio


class Transform(Protocol):
    """A change of a clip's audio whose size is drawn."""

    @property
    def key(self) -> str:
        """Name, version and parameters in one word: equal keys and draws mean equal results."""

    def apply(self, audio: Audio, rng: np.random.Generator) -> Audio:
        """Change one clip by a drawn factor."""
