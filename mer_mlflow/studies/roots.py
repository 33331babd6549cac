"""Folders of a study's datasets: one for each, or one that contains several."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mer_mlflow.datasets import data_root_or_default, default_dataset, get_dataset
from mer_mlflow.errors import ParameterError


@dataclass(frozen=True, kw_only=True)
class DataRoots:
    """Folders of datasets, as given by a user.

    Attributes
    ----------
    own : folders by dataset
    shared : folder that contains all other datasets, None for none
    """

    own: Mapping[str, str] = field(default_factory=dict)
    shared: str | None = None


def parse_data_roots(text: str | None) -> DataRoots:
    """Parse one folder, or ``"original-4qaed=/a;new-4qaed-c=/b"``.

    Raises
    ------
    ParameterError
        If a folder does not exist, or a dataset is unknown.
    """
    parts = [part.strip() for part in (text or "").split(";") if part.strip()]
    if len(parts) == 1 and ("=" not in parts[0] or _exists(parts[0])):
        return DataRoots(shared=_there(parts[0]))
    own: dict[str, str] = {}
    for part in parts:
        name, separator, folder = (piece.strip() for piece in part.partition("="))
        if not separator or not folder:
            raise ParameterError(
                f"data_root={text}: '{part}' is not dataset=folder; give one folder, or "
                "dataset=folder;dataset=folder"
            )
        if not get_dataset(name).needs_root:
            raise ParameterError(f"data_root={part}: dataset {name} needs no folder")
        own[name] = _there(folder)
    return DataRoots(own=own)


def chosen_datasets(given: DataRoots, planned: Mapping[str, str]) -> tuple[str, ...]:
    """Return the default datasets of a plan that names none.

    Parameters
    ----------
    given : folders given by the user
    planned : folders by dataset, from the plan

    Returns
    -------
    the datasets for which folders are given, else Original-4QAED if there is a folder, else the
    demo
    """
    return tuple(given.own or planned) or (default_dataset(given.shared),)


def locate(
    datasets: Iterable[str], *, given: DataRoots, planned: Mapping[str, str]
) -> dict[str, str | None]:
    """Find the folder of each dataset.

    Folders given by the user override those of the plan, which override ``MER_DATA_ROOT``. A shared
    folder without subfolders of any dataset belongs to the first dataset.

    Parameters
    ----------
    datasets : names of the datasets, in order
    given : folders given by the user
    planned : folders by dataset, from the plan

    Returns
    -------
    data root of each dataset, None if there is none or none is needed
    """
    names = [name for name in datasets if get_dataset(name).needs_root]
    default = data_root_or_default(None)
    shared = [None if given.shared is None else Path(given.shared), default]
    sources = (given.own, _found_in(shared[0], names), planned, _found_in(shared[1], names))
    found: dict[str, str | None] = dict.fromkeys(datasets)
    for name in names:
        found[name] = next((source[name] for source in sources if name in source), None)
    return found


def _there(folder: str) -> str:
    if not _exists(folder):
        raise ParameterError(f"data_root={folder}: no such folder")
    return str(Path(folder).expanduser().resolve())


def _exists(folder: str) -> bool:
    try:
        return Path(folder).expanduser().exists()
    except (OSError, RuntimeError):  # the name is too long, or the user unknown
        return False


def _found_in(root: Path | None, names: list[str]) -> dict[str, str]:
    if root is None:
        return {}
    try:
        inside = {_plain(path.name): path for path in root.iterdir() if path.is_dir()}
    except OSError:
        inside = {}
    found = {}
    for name in names:
        archive = get_dataset(name).archive
        if _plain(name) in inside:
            found[name] = str(inside[_plain(name)])
        elif archive and _plain(archive) in inside:
            found[name] = str(root)
    return found or {name: str(root) for name in names[:1]}


def _plain(name: str) -> str:
    return name.lower().replace("_", "-").replace(" ", "-")
