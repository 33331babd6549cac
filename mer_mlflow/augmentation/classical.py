"""The classical transforms of audio: time shift, pitch shift, time stretch, power shift.

Each draws its factor evenly from a symmetric range and applies it by audiomentations. The factor
is drawn here, because the generators of that library are global: clips synthesised side by side
would disturb each other.

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
    """Silence put before the start, or the start cut off; at most half of what is read.

    Attributes
    ----------
    max_seconds : float > 0 [s]
    """

    max_seconds: float = 5.0

    @property
    def key(self) -> str:
        """Name, version and parameters in one word."""
        return parameter_key("time-shift", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Shift one clip; its length stays."""
        from audiomentations import Shift

        most = min(self.max_seconds, duration / 2, audio.seconds / 2)
        seconds = rng.uniform(-most, most)
        shift = Shift(seconds, seconds, shift_unit="seconds", rollover=False, p=1.0)
        return _applied(shift, audio)


@dataclass(frozen=True, kw_only=True)
class PitchShift:
    """All pitches moved, tempo kept.

    Attributes
    ----------
    max_semitones : float > 0 [semitones]
    """

    max_semitones: float = 2.0

    @property
    def key(self) -> str:
        """Name, version and parameters in one word."""
        return parameter_key("pitch-shift", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Move one clip's pitches."""
        from audiomentations import PitchShift

        semitones = rng.uniform(-self.max_semitones, self.max_semitones)
        return _applied(PitchShift(semitones, semitones, p=1.0), audio)


@dataclass(frozen=True, kw_only=True)
class TimeStretch:
    """Faster or slower, pitch kept; what a faster clip then lacks at its end is silence.

    Attributes
    ----------
    max_change : float, 0 to 1, largest change of the tempo as a share of it
    """

    max_change: float = 0.5

    @property
    def key(self) -> str:
        """Name, version and parameters in one word."""
        return parameter_key("time-stretch", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Stretch one clip; its length changes."""
        from audiomentations import TimeStretch

        rate = rng.uniform(1.0 - self.max_change, 1.0 + self.max_change)
        return _applied(TimeStretch(rate, rate, leave_length_unchanged=False, p=1.0), audio)


@dataclass(frozen=True, kw_only=True)
class PowerShift:
    """Louder or softer, without clipping.

    Attributes
    ----------
    max_db : float > 0 [dB]
    """

    max_db: float = 10.0

    @property
    def key(self) -> str:
        """Name, version and parameters in one word."""
        return parameter_key("power-shift", VERSION, self)

    def apply(self, audio: Audio, *, duration: float, rng: np.random.Generator) -> Audio:
        """Change one clip's level."""
        from audiomentations import Gain

        gain = rng.uniform(-self.max_db, self.max_db)
        return _applied(Gain(gain, gain, p=1.0), audio)


CLASSICAL = (TimeShift(), PitchShift(), TimeStretch(), PowerShift())
"""The four of the study, each within its bounds."""


def _applied(transform: Any, audio: Audio) -> Audio:
    samples = transform(samples=audio.samples, sample_rate=audio.sr)
    return replace(audio, samples=np.asarray(samples, dtype=np.float32))
