"""Synthesised training clips, computed once for each clip, transform and seed."""

from mer_mlflow.augmentation.classical import (
    CLASSICAL,
    PitchShift,
    PowerShift,
    TimeShift,
    TimeStretch,
)
from mer_mlflow.augmentation.synthesis import SYNTHESIS, Synthesised, with_synthesised
from mer_mlflow.augmentation.transform import Transform

__all__ = [
    "CLASSICAL",
    "SYNTHESIS",
    "PitchShift",
    "PowerShift",
    "Synthesised",
    "TimeShift",
    "TimeStretch",
    "Transform",
    "with_synthesised",
]
