"""Interface of transforms, which turn a clip into another one of the same emotion."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mer_mlflow.augmentation.masking import TimeFrequencyMask
from mer_mlflow.representations.audio import Audio


class AudioTransform(Protocol):
    """A transform of a clip's audio with a random factor."""

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters: equal keys and random numbers mean equal
        results."""

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Transform one clip by a random factor.

        Parameters
        ----------
        audio : decoded file, or a sufficient part of its beginning
        duration : float > 0 [s], length of the result that is used at most
        rng : random generator for the factor
        """


Transform = AudioTransform | TimeFrequencyMask
"""A transform of audio or of spectrograms."""
