"""Files that a CSV lists: where they are, and what their clips are called.

An id is the path below the CSV's folder, without suffix. Where a file lies elsewhere, ids are the
paths below the folder that all files have in common. However a CSV spells the same files – absolute
or relative, with ``..``, backslashes or through a link to a folder above – they have the same ids,
and no id has the name of a home folder that the files do not all lie in.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePath, PurePosixPath

from mer_mlflow.errors import excerpt

HOMES = tuple(Path(folder) for folder in ("/home", "/Users", "/var/home"))
"""Folders whose folders are users' homes."""
MOST_NAME_BYTES, MOST_PATH_BYTES = 255, 4096
"""Of the file systems in use: of a name, and of a path with the zero that ends it."""
ROOT_HOME = Path("/root")


def locate(folder: Path, spelled: Sequence[str]) -> list[Path]:
    """Find the files that a CSV lists; the same file has the same path however it is spelled.

    A link below the folder counts as what it is called, not as what it leads to.

    Parameters
    ----------
    folder : of the CSV, where relative paths start
    spelled : paths as they are written

    Returns
    -------
    absolute path of each, below ``folder`` where it lies there
    """
    own = Path(os.path.realpath(folder))
    real = cache(os.path.realpath)
    return [_located(own, cell, real) for cell in spelled]


def clip_ids(folder: Path, files: Sequence[Path]) -> list[str]:
    """Name the clips of files.

    Parameters
    ----------
    folder : of the CSV
    files : from :func:`locate`

    Returns
    -------
    id of each; equal where files are, and where they differ by their users' home folders alone
    """
    own = Path(os.path.realpath(folder))
    names = [PurePosixPath(name) for name in _relative(own, files)]
    ids = {name: str(name.with_suffix("")) if name.name else str(name) for name in names}
    while taken := [each for each, count in Counter(ids.values()).items() if count > 1]:
        ids |= {name: str(name) for name, each in ids.items() if each in taken}
    return [ids[name] for name in names]


def earlier_ids(spelled: Sequence[str]) -> list[str]:
    """Ids that clips had when paths counted as they are written."""
    return [str(PurePosixPath(cell).with_suffix("")) for cell in spelled]


def is_file(path: Path) -> bool:
    """Whether there is a file, also where a path can be none."""
    try:
        return path.is_file()
    except OSError:
        return False


def length_fault(spelled: str) -> str | None:
    """What makes a path longer than file systems allow; None where nothing does."""
    if (n_bytes := len(spelled.encode())) >= MOST_PATH_BYTES:
        return f"a path of {n_bytes} bytes ({excerpt(spelled)}); at most {MOST_PATH_BYTES - 1} work"
    for part in spelled.replace("\\", "/").split("/"):
        if (n_bytes := len(part.encode())) > MOST_NAME_BYTES:
            return (
                f"a file name of {n_bytes} bytes ({excerpt(part)}); at most {MOST_NAME_BYTES} "
                "work: rename the file"
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
    mine = Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111, there may be no home
    for parent in reversed(file.parents):
        if parent in (mine, ROOT_HOME) or parent.parent in HOMES:
            return parent
    return None
