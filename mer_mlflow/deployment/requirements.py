"""Packages that a model needs."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from mer_mlflow.representations import Input
from mer_mlflow.representations.pretrained import MODULES
from mer_mlflow.training import Method

PROJECT = "mer_mlflow"
FRAMEWORKS = {"scikit-learn": (), "keras": ("keras", "tensorflow"), "torch": ("torch",)}


def packages_of(method: Method, inputs: Iterable[Input]) -> tuple[str, ...]:
    """Return the names of the packages that a model needs, this one first.

    Parameters
    ----------
    method : its methodology
    inputs : its inputs, which pretrained networks may compute
    """
    declared = map(Requirement, requires(PROJECT) or ())
    own = (each.name for each in declared if each.marker is None)
    networks = (MODULES[item.network] for item in inputs if item.network)
    frameworks = [method.framework, *("keras" if each.ON_KERAS else "torch" for each in networks)]
    needed = (package for framework in frameworks for package in FRAMEWORKS[framework])
    return tuple(dict.fromkeys((PROJECT, *own, *needed)))


def installed(packages: Iterable[str]) -> dict[str, str]:
    """Return the installed versions of packages by name, without those that are missing."""
    found = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
