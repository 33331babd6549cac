"""Transforms by name, and checks of their requirements."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mer_mlflow.augmentation.classical import PitchShift, PowerShift, TimeShift, TimeStretch
from mer_mlflow.augmentation.masking import TimeFrequencyMask
from mer_mlflow.augmentation.timbral import (
    BackgroundNoise,
    SevenBandEQ,
    TanhDistortion,
    with_noise,
)
from mer_mlflow.augmentation.transform import Transform
from mer_mlflow.errors import ParameterError
from mer_mlflow.packages import require_package
from mer_mlflow.representations import Input

TRANSFORMS: dict[str, Transform] = {
    "time_shift": TimeShift(),
    "pitch_shift": PitchShift(),
    "time_stretch": TimeStretch(),
    "power_shift": PowerShift(),
    "tfm": TimeFrequencyMask(),
    "sb": SevenBandEQ(),
    "rg": PowerShift(max_db=12.0),
    "td": TanhDistortion(),
    "bg": BackgroundNoise(),
}
"""All transforms by name."""


def get_transforms(names: Sequence[str]) -> tuple[Transform, ...]:
    """Return transforms by name.

    Parameters
    ----------
    names : keys of :data:`TRANSFORMS`, each at most once

    Raises
    ------
    ParameterError
        If a name is unknown or given twice.

    Examples
    --------
    >>> from mer_mlflow.augmentation import get_transforms
    >>> [type(transform).__name__ for transform in get_transforms(["time_shift", "tfm"])]
    ['TimeShift', 'TimeFrequencyMask']
    """
    for i, name in enumerate(names):
        if name not in TRANSFORMS:
            known = ", ".join(TRANSFORMS)
            raise ParameterError(f"augment={name}: unknown; transforms are {known}")
        if name in names[:i]:
            raise ParameterError(f"augment: {name} is given twice")
    return tuple(TRANSFORMS[name] for name in names)


def draw_noise_from(
    transforms: Sequence[Transform], noise_root: Path | str
) -> tuple[Transform, ...]:
    """Make all background noises among transforms use the recordings of a folder.

    Parameters
    ----------
    transforms : transforms, of which at least one is a background noise
    noise_root : folder that contains audio files, at any depth

    Raises
    ------
    ParameterError
        If no transform is a background noise, or the folder has no audio.
    AudioError
        If a file cannot be decoded.
    """
    if not any(isinstance(each, BackgroundNoise) for each in transforms):
        raise ParameterError("noise_root is given, but no transform adds background noise")
    return tuple(
        with_noise(each, noise_root) if isinstance(each, BackgroundNoise) else each
        for each in transforms
    )


def refuse_unusable(
    transforms: Sequence[Transform], inputs: Sequence[Input], *, method: str
) -> None:
    """Check that transforms can be applied to a method's inputs.

    Parameters
    ----------
    transforms : the transforms
    inputs : the method's inputs
    method : name of the method, for the error message

    Raises
    ------
    ParameterError
        If the method has no audio input, or no spectrogram for a mask, or a package is missing.
    """
    for each in transforms:
        if not isinstance(each, TimeFrequencyMask | BackgroundNoise):
            for package in ("audiomentations", "python_stretch"):
                require_package(package, needed_by=f"augment: {type(each).__name__}")
    from_audio = [item for item in inputs if not item.is_handcrafted]
    if transforms and not from_audio:
        raise ParameterError(f"augment: {method} has no audio input that can be transformed")
    masks = any(isinstance(each, TimeFrequencyMask) for each in transforms)
    if masks and not all(item.is_spectrogram for item in from_audio):
        raise ParameterError(f"augment=tfm: {method} has no spectrogram input that can be masked")
