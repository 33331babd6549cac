"""What a transform is: a way to make another clip of the same emotion out of one."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mer_mlflow.augmentation.masking import TimeFrequencyMask
from mer_mlflow.representations.audio import Audio


class AudioTransform(Protocol):
    """A change of a clip's audio whose size is drawn."""

    @property
    def key(self) -> str:
        """Name, version and parameters in one word: equal keys and draws mean equal results."""

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Change one clip by a drawn factor.

        Parameters
        ----------
        audio : decoded file, or what is needed of its beginning
        duration : float > 0 [s], how much of the result is read at most
        rng : that the factor is drawn from
        """


Transform = AudioTransform | TimeFrequencyMask
"""Whatever makes a synthesised clip."""
