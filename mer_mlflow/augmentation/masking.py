"""Time-frequency masking of a spectrogram: one frequency band and one time interval.

The study used an earlier version of audiomentations; newer versions have no spectrogram masks.

References
----------
D. S. Park et al., "SpecAugment: a simple data augmentation method for automatic speech
recognition", Interspeech 2019.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.representation import parameter_key

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TimeFrequencyMask:
    """Mask of one frequency band and one time interval, set to the spectrogram's mean.

    The study does not publish the widths. These are the defaults of audiomentations' frequency
    mask.

    Attributes
    ----------
    min_share, max_share : float, 0 to 1, width of a mask as a share of the axis
    """

    min_share: float = 0.03
    max_share: float = 0.25

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("time-frequency-mask", VERSION, self)

    def change(
        self, values: NDArray[np.floating], *, rng: np.random.Generator
    ) -> NDArray[np.floating]:
        """Mask a clip's spectrogram, or each of its chunks.

        Parameters
        ----------
        values : spectrograms [shape=(..., n_mels, n_frames)]
        rng : random generator for positions and widths
        """
        masked = values.copy()
        for spectrogram in masked.reshape(-1, *masked.shape[-2:]):
            mean = spectrogram.mean()
            bands = self._drawn(spectrogram.shape[0], rng)
            frames = self._drawn(spectrogram.shape[1], rng)
            spectrogram[bands] = mean
            spectrogram[:, frames] = mean
        return masked

    def _drawn(self, length: int, rng: np.random.Generator) -> slice:
        width = max(1, round(rng.uniform(self.min_share, self.max_share) * length))
        start = int(rng.integers(length - width + 1))
        return slice(start, start + width)
