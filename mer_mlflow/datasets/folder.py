"""Any folder of quadrants, or a CSV of audio paths and quadrants: other people's audio."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

import numpy as np

from mer_mlflow.datasets.clips import QUADRANTS, Clips
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.quadrant_folders import (
    audio_in_two_quadrants,
    content_hashes,
    findings,
    read_quadrant_folders,
)
from mer_mlflow.datasets.tables import read_quadrants, read_table
from mer_mlflow.errors import DatasetError


def read_folder(root: Path | None) -> Reading:
    """Read a folder with subfolders Q1 to Q4, or a CSV with columns ``path`` and ``quadrant``.

    Parameters
    ----------
    root : the folder, the CSV, or a folder that holds one CSV; an ``artist`` column is used
        where the CSV has one, and relative paths start at the CSV's folder

    Raises
    ------
    DatasetError
        If there is neither.
    """
    assert root is not None
    if root.is_file():
        return _read_csv(root)
    if any((root / quadrant).is_dir() for quadrant in QUADRANTS):
        return read_quadrant_folders(name="folder", audio_root=root)
    tables = sorted(root.glob("*.csv"))
    if len(tables) != 1:
        raise DatasetError(
            f"{root}: neither subfolders Q1 to Q4 nor exactly one CSV of path and quadrant "
            f"({len(tables)} CSV files)"
        )
    return _read_csv(tables[0])


def _read_csv(path: Path) -> Reading:
    table = read_table(path)
    files = table.column(("path",))
    artists = table.column(("artist",)) if table.has("artist") else ("",) * len(files)
    for (line, _), file in zip(table.rows, files, strict=True):
        if not PurePosixPath(file).name:
            raise DatasetError(f"{path}, line {line}: '{file}' in column path is no file name")
    ids = [str(PurePosixPath(file).with_suffix("")) for file in files]
    labels = read_quadrants(table, ids=ids)
    duplicates = sorted({clip for clip in ids if ids.count(clip) > 1})
    errors = [f"{path}: clip {clip} has two rows; keep one" for clip in duplicates]
    rows = {row[0]: row for row in zip(ids, labels, files, artists, strict=True)}
    ordered = [rows[clip] for clip in sorted(rows)]
    audio = tuple(path.parent / file for _, _, file, _ in ordered)
    present = tuple(file if _is_file(file) else None for file in audio)
    errors += [
        f"{path}: no file {file}"
        for file, found in zip(audio, present, strict=True)
        if found is None
    ]
    clips = Clips(
        name="folder",
        ids=tuple(sorted(rows)),
        quadrants=np.array([label for _, label, _, _ in ordered], dtype=np.int64),
        audio=present,
        audio_hashes=content_hashes(present),
        artists=tuple(artist or None for _, _, _, artist in ordered),
    )
    return Reading(
        clips=clips,
        errors=(*errors, *audio_in_two_quadrants(clips)),
        warnings=tuple(findings(clips)),
        encodings={path.name: table.encoding},
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


DATASETS = (
    Dataset(
        name="folder",
        title="Folder",
        summary="Your own audio: folders Q1 to Q4, or a CSV of path and quadrant.",
        citation="",
        licence="",
        published_counts=None,
        needs_root=True,
        read=read_folder,
    ),
)
