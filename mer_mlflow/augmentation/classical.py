"""The classical transforms of audio: time shift, pitch shift, time stretch, power shift.

Each transform draws its factor uniformly from a symmetric interval, and applies it with
audiomentations. The factor is drawn here because that library uses global random generators, so
that clips synthesised in parallel would influence each other.

References
----------
J. Salamon, J. P. Bello, "Deep convolutional neural networks and data augmentation for environmental
sound classification", IEEE Signal Processing Letters 24(3), 2017.
I. Jordal et al., audiomentations, https://github.com/iver56/audiomentations.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.representation import parameter_key

VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TimeShift:
    """Shift in time: silence before the start, or the start cut off; at most half of the excerpt.

    Attributes
    ----------
    max_seconds : float > 0 [s]
    """

    max_seconds: float = 5.0

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("time-shift", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Shift one clip, without a change of its length."""
        from audiomentations import Shift

        most = min(self.max_seconds, duration / 2, audio.seconds / 2)
        seconds = rng.uniform(-most, most)
        shift = Shift(seconds, seconds, shift_unit="seconds", rollover=False, p=1.0)
        return _applied(shift, audio)


@dataclass(frozen=True, kw_only=True)
class PitchShift:
    """Shift of all pitches at constant tempo.

    Attributes
    ----------
    max_semitones : float > 0 [semitones]
    """

    max_semitones: float = 2.0

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("pitch-shift", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Shift one clip's pitches."""
        from audiomentations import PitchShift

        semitones = rng.uniform(-self.max_semitones, self.max_semitones)
        return _applied(PitchShift(semitones, semitones, p=1.0), audio)


@dataclass(frozen=True, kw_only=True)
class TimeStretch:
    """Change of tempo at constant pitch; a faster clip is padded with silence.

    Attributes
    ----------
    max_change : float, 0 to 1, largest relative change of the tempo
    """

    max_change: float = 0.5

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("time-stretch", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Stretch one clip; its length changes."""
        from audiomentations import TimeStretch

        rate = rng.uniform(1.0 - self.max_change, 1.0 + self.max_change)
        return _applied(TimeStretch(rate, rate, leave_length_unchanged=False, p=1.0), audio)


@dataclass(frozen=True, kw_only=True)
class PowerShift:
    """Change of level, without clipping.

    Attributes
    ----------
    max_db : float > 0 [dB]
    """

    max_db: float = 10.0

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters."""
        return parameter_key("power-shift", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Change one clip's level."""
        from audiomentations import Gain

        gain = rng.uniform(-self.max_db, self.max_db)
        return _applied(Gain(gain, gain, p=1.0), audio)


CLASSICAL = (TimeShift(), PitchShift(), TimeStretch(), PowerShift())
"""The study's four transforms, with its parameters."""


def _applied(transform: Any, audio: Audio) -> Audio:
    samples = transform(samples=audio.samples, sample_rate=audio.sr)
    return replace(audio, samples=np.asarray(samples, dtype=np.float32))
