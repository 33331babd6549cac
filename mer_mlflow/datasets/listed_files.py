"""Files listed in a CSV: their paths, and the ids of their clips.

A clip id is the path relative to the CSV's folder, without suffix. If a file is outside of that
folder, ids are relative to the common parent folder of all files. The ids do not depend on how the
CSV writes the paths: absolute or relative, with ``..``, with backslashes, or through a link to a
parent folder. An id contains the name of a user's home folder only if not all files are in it.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from urllib.parse import unquote

from mer_mlflow.errors import excerpt

HOMES = tuple(Path(folder) for folder in ("/home", "/Users", "/var/home"))
"""Parent folders of users' home folders."""
MOST_NAME_BYTES, MOST_PATH_BYTES = 255, 4096
"""Limits of common file systems: bytes of a name, and of a path with its terminating zero."""
SCHEME = "file://"
ROOT_HOME = Path("/root")


def locate(folder: Path, spelled: Sequence[str]) -> list[Path]:
    """Normalise the paths listed in a CSV: the same file has the same path, however it is written.

    A link below the folder keeps its own name; it is not resolved.

    Parameters
    ----------
    folder : folder of the CSV, to which paths are relative
    spelled : paths as written in the CSV

    Returns
    -------
    absolute path of each file, below ``folder`` if it is inside
    """
    own = Path(os.path.realpath(folder))
    real = cache(os.path.realpath)
    return [_located(own, cell, real) for cell in spelled]


def clip_ids(folder: Path, files: Sequence[Path]) -> list[str]:
    """Return the clip ids of files.

    Parameters
    ----------
    folder : folder of the CSV
    files : paths returned by :func:`locate`

    Returns
    -------
    id of each file; two ids are equal if the files are, or if their paths differ only in the home
    folder of a user
    """
    own = Path(os.path.realpath(folder))
    names = [PurePosixPath(name) for name in _relative(own, files)]
    ids = {name: str(name.with_suffix("")) if name.name else str(name) for name in names}
    while taken := [each for each, count in Counter(ids.values()).items() if count > 1]:
        ids |= {name: str(name) for name, each in ids.items() if each in taken}
    return [ids[name] for name in names]


def earlier_ids(spelled: Sequence[str]) -> list[str]:
    """Return the ids of an earlier version, which used the paths as written."""
    return [str(PurePosixPath(cell).with_suffix("")) for cell in spelled]


def without_scheme(spelled: str) -> str:
    """Return the path of a ``file://`` address, and any other text unchanged."""
    if not spelled.lower().startswith(SCHEME):
        return spelled
    return unquote(spelled[len(SCHEME) :].removeprefix("localhost"))


def is_file(path: Path) -> bool:
    """Return whether the file exists; False for an invalid path."""
    try:
        return path.is_file()
    except OSError:
        return False


def length_fault(spelled: str) -> str | None:
    """Return why a path is too long for file systems; None if it is not."""
    if (n_bytes := len(spelled.encode())) >= MOST_PATH_BYTES:
        return f"a path of {n_bytes} bytes ({excerpt(spelled)}); the limit is {MOST_PATH_BYTES - 1}"
    for part in spelled.replace("\\", "/").split("/"):
        if (n_bytes := len(part.encode())) > MOST_NAME_BYTES:
            return (
                f"a file name of {n_bytes} bytes ({excerpt(part)}); the limit is "
                f"{MOST_NAME_BYTES}: rename the file"
            )
    return None


def _located(own: Path, cell: str, real: Callable[[PurePath], str]) -> Path:
    if "\\" in cell and not is_file(own / cell):
        cell = cell.replace("\\", "/")
    if cell.startswith("/"):
        cell = "/" + cell.lstrip("/")
    parts = (own / cell).parts
    n_resolved = max((i for i, part in enumerate(parts, start=1) if part == ".."), default=1)
    path = Path(real(PurePath(*parts[:n_resolved])), *parts[n_resolved:])
    for parent in reversed(path.parents):
        if real(parent) == str(own):
            return own / path.relative_to(parent)
    return Path(real(path.parent), path.name)


def _relative(own: Path, files: Sequence[Path]) -> list[str]:
    if all(file.is_relative_to(own) for file in files):
        return [str(file.relative_to(own)) for file in files]
    common = Path(os.path.commonpath([file.parent for file in files]))
    starts = (_home(file) for file in files)
    return [
        str(file.relative_to(home if home is not None and common in home.parents else common))
        for file, home in zip(files, starts, strict=True)
    ]


def _home(file: Path) -> Path | None:
    mine = Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111, it may not exist
    for parent in reversed(file.parents):
        if parent in (mine, ROOT_HOME) or parent.parent in HOMES:
            return parent
    return None
