"""Synthesised training clips, computed once for each clip, transform and seed."""

from mer_mlflow.augmentation.choice import (
    TRANSFORMS,
    draw_noise_from,
    get_transforms,
    refuse_unusable,
)
from mer_mlflow.augmentation.classical import (
    CLASSICAL,
    PitchShift,
    PowerShift,
    TimeShift,
    TimeStretch,
)
from mer_mlflow.augmentation.masking import TimeFrequencyMask
from mer_mlflow.augmentation.synthesis import (
    SYNTHESIS,
    Synthesised,
    needed_for,
    with_synthesised,
)
from mer_mlflow.augmentation.timbral import (
    BackgroundNoise,
    SevenBandEQ,
    TanhDistortion,
)
from mer_mlflow.augmentation.transform import Transform

__all__ = [
    "CLASSICAL",
    "SYNTHESIS",
    "TRANSFORMS",
    "BackgroundNoise",
    "PitchShift",
    "PowerShift",
    "SevenBandEQ",
    "Synthesised",
    "TanhDistortion",
    "TimeFrequencyMask",
    "TimeShift",
    "TimeStretch",
    "Transform",
    "draw_noise_from",
    "get_transforms",
    "needed_for",
    "refuse_unusable",
    "with_synthesised",
]
