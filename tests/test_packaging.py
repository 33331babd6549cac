"""The package: what it installs, and that the tested versions are among those that it allows."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUNTIME = ("tensorflow", "torch", "augment", "jams", "explain", "page", "cluster", "server")
"""Extras that a user installs."""


def ranges(extras: tuple[str, ...]) -> dict[str, Requirement]:
    groups = [PROJECT["dependencies"], *(PROJECT["optional-dependencies"][each] for each in extras)]
    found = [Requirement(line) for group in groups for line in group]
    return {item.name.lower(): item for item in found}


def pins(name: str) -> dict[str, Requirement]:
    lines = (line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines())
    found = map(Requirement, (line for line in lines if line and not line.startswith("-r ")))
    return {item.name.lower(): item for item in found}


def test_every_pinned_package_is_one_that_the_package_declares_and_the_other_way_round() -> None:
    assert pins("requirements.txt").keys() | pins("server/requirements.txt").keys() == (
        ranges(RUNTIME).keys()
    )


def test_pinned_versions_are_among_those_that_are_allowed() -> None:
    declared = ranges((*RUNTIME, "dev"))
    for file in ("requirements.txt", "requirements-dev.txt", "server/requirements.txt"):
        for name, pin in pins(file).items():
            version = re.fullmatch(r"==(.+)", str(pin.specifier))
            assert version is not None, f"{file}: {name} is not pinned"
            assert name not in declared or version[1] in declared[name].specifier, name


def test_console_script_and_store_are_installed_from_the_package() -> None:
    points = metadata.distribution("mer_mlflow").entry_points
    assert {(point.name, point.value) for point in points} == {
        ("mer", "mer_mlflow.commands.main:main"),
        ("sqlite", "mer_mlflow.mlflow_store:open_store"),
    }
