"""Packages that a model needs."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version

from mer_mlflow.training import Method

PACKAGES = (
    "mer_mlflow",
    "mlflow",
    "numpy",
    "scikit-learn",
    "librosa",
    "soundfile",
    "soxr",
    "skops",
)
FRAMEWORKS = {"scikit-learn": (), "keras": ("keras", "tensorflow"), "torch": ("torch",)}


def packages_of(method: Method) -> tuple[str, ...]:
    """Return the names of the packages that a model of a methodology needs."""
    return (*PACKAGES, *FRAMEWORKS[method.framework])


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of packages by name, without those that are missing."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
