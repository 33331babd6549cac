"""Datasets: a module of this package registers its datasets by declaring ``DATASETS``."""

from __future__ import annotations

import os
import pkgutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from importlib import import_module
from pathlib import Path

from mer_mlflow.datasets.clips import QUADRANTS, Clips, FeatureTable
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.errors import DatasetError, ParameterError, listing, readable
from mer_mlflow.paths import given_path, name_fault

__all__ = [
    "QUADRANTS",
    "Clips",
    "Dataset",
    "FeatureTable",
    "Reading",
    "data_root_or_default",
    "dataset_names",
    "default_dataset",
    "get_dataset",
    "is_synthesised",
    "load_dataset",
    "read_dataset",
]

ROOT_VARIABLE = "MER_DATA_ROOT"


@cache
def _registry() -> dict[str, Dataset]:
    modules = [import_module(f"{__name__}.{info.name}") for info in pkgutil.iter_modules(__path__)]
    declared = [dataset for module in modules for dataset in getattr(module, "DATASETS", ())]
    return {dataset.name: dataset for dataset in declared}


def dataset_names() -> tuple[str, ...]:
    """Return the names of the registered datasets."""
    return tuple(sorted(_registry()))


def get_dataset(name: str) -> Dataset:
    """Look up a dataset's declaration.

    Raises
    ------
    ParameterError
        If no dataset has this name.
    """
    try:
        return _registry()[name]
    except KeyError:
        known = ", ".join(dataset_names())
        raise ParameterError(f"dataset={name}: unknown; datasets are {known}") from None


def is_synthesised(name: str) -> bool:
    """Return whether a dataset consists of generated clips, on which scores are not meaningful."""
    return name in _registry() and not _registry()[name].needs_root


def data_root_or_default(data_root: Path | str | None) -> Path | None:
    """Return the given data root, else the one in ``MER_DATA_ROOT``, else None.

    Raises
    ------
    ParameterError
        If it is not a valid path.
    """
    name = "data_root" if data_root else ROOT_VARIABLE
    given = data_root or os.environ.get(ROOT_VARIABLE)
    return given_path(given, name=name).resolve() if given else None


def default_dataset(data_root: Path | str | None) -> str:
    """Return the default dataset of commands: Original-4QAED with a data root, else the demo."""
    return "original-4qaed" if data_root_or_default(data_root) else "demo"


def read_dataset(
    name: str, data_root: Path | str | None = None, *, av_scale: str | None = None
) -> Reading:
    """Read a dataset, and list all contradictions in it.

    Parameters
    ----------
    name : name of a registered dataset
    data_root : folder of its files, by default ``MER_DATA_ROOT``; not used by the demo
    av_scale : scale of arousal and valence, by default guessed from the values

    Raises
    ------
    ParameterError
        If the name is unknown, the data root is missing, or the dataset has no such scale.
    DatasetError
        If the files cannot be read as this dataset.
    """
    dataset = get_dataset(name)
    if av_scale is not None and not dataset.has_scale:
        raise ParameterError(f"av_scale={av_scale}: the scale of dataset {name} is known")
    options = {"av_scale": av_scale} if dataset.has_scale else {}
    if not dataset.needs_root:
        try:
            return _checked(dataset.read(None))
        except OSError as error:
            raise DatasetError(
                f"{error.filename}: cannot be read ({error.strerror}); get read permission, "
                "or set MER_CACHE_ROOT to another folder"
            ) from error
    root = data_root_or_default(data_root)
    if root is None:
        raise ParameterError(
            f"dataset {name} needs its files: give data_root, or set MER_DATA_ROOT to their folder"
        )
    if not root.exists():
        raise ParameterError(f"data_root={root}: no such folder")
    if not root.is_dir() and root.suffix.lower() != ".csv":
        raise ParameterError(f"data_root={root}: neither a folder nor a CSV file")
    if not root.is_dir() and name != "folder":
        raise ParameterError(f"data_root={root}: a folder is expected for dataset {name}")
    try:
        if root.is_dir() and not any(root.iterdir()):
            raise DatasetError(f"data_root={root}: the folder is empty")
        return _checked(dataset.read(root, **options))
    except OSError as error:
        where = error.filename or f"data_root={root}"
        raise DatasetError(f"{where}: cannot be read ({error.strerror})") from error


def _checked(reading: Reading) -> Reading:
    """Reject clips whose names would be different texts on other machines."""
    clips = reading.clips
    for clip, path in zip(clips.ids, clips.audio, strict=True):
        if (fault := name_fault(clip)) is not None:
            raise DatasetError(f"{path or f'dataset {clips.name}, clip {clip}'}: {fault}")
    return replace(
        reading,
        errors=tuple(map(readable, reading.errors)),
        warnings=tuple(map(readable, reading.warnings)),
    )


def load_dataset(
    name: str,
    data_root: Path | str | None = None,
    *,
    av_scale: str | None = None,
    on_warning: Callable[[str], None] = warnings.warn,
) -> Clips:
    """Load the clips of a dataset.

    Parameters
    ----------
    name : name of a registered dataset
    data_root : folder of its files, by default ``MER_DATA_ROOT``; not used by the demo
    av_scale : scale of arousal and valence, by default guessed from the values
    on_warning : called with each problem that leaves the dataset usable, such as unlabelled files

    Raises
    ------
    ParameterError
        If the name is unknown or the data root is missing.
    DatasetError
        If the files cannot be read as this dataset, or contradict each other.

    Examples
    --------
    >>> clips = load_dataset("demo")  # doctest: +SKIP
    >>> clips.counts  # doctest: +SKIP
    {'Q1': 40, 'Q2': 40, 'Q3': 40, 'Q4': 40}
    """
    reading = read_dataset(name, data_root, av_scale=av_scale)
    if reading.errors:
        raise DatasetError(f"dataset {name}: {listing(list(reading.errors), most=3)}")
    for words in reading.warnings:
        on_warning(words)
    return reading.clips
