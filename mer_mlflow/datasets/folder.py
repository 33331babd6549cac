"""Users' own audio: a folder with quadrant subfolders, or a CSV of audio paths and quadrants."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

import numpy as np

from mer_mlflow.datasets.arousal_valence import Labels, has_values, labels_from_values
from mer_mlflow.datasets.clips import QUADRANTS, Clips
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import described, has_audio, nested
from mer_mlflow.datasets.listed_files import (
    clip_ids,
    earlier_ids,
    is_file,
    length_fault,
    locate,
    without_scheme,
)
from mer_mlflow.datasets.quadrant_folders import (
    audio_in_two_quadrants,
    content_hashes,
    findings,
    read_quadrant_folders,
)
from mer_mlflow.datasets.tables import ID_COLUMNS, Table, known, read_quadrants, read_table
from mer_mlflow.errors import DatasetError, ParameterError, excerpt, listing

METADATA = "metadata.csv"
REORDERED = (
    "clip ids are now relative to one folder; an earlier version used the paths as written, in "
    "another order, and its runs on these clips are not continued"
)


def read_folder(root: Path | None, *, av_scale: str | None = None) -> Reading:
    """Read a folder with subfolders Q1 to Q4, or a CSV with columns ``path`` and ``quadrant``.

    Instead of ``quadrant``, the CSV may have columns ``valence`` and ``arousal``.

    Parameters
    ----------
    root : the folder, the CSV, or a folder that contains one CSV. Beside subfolders,
        ``metadata.csv`` may have columns ``Song`` and ``Artist``. Relative paths start at the
        CSV's folder, and a column ``artist`` is optional. Clip ids are those of
        :mod:`mer_mlflow.datasets.listed_files`
    av_scale : scale of valence and arousal, by default guessed from the values

    Raises
    ------
    DatasetError
        If there is neither.
    """
    assert root is not None
    if root.is_file():
        return _read_csv(root, av_scale)
    if av_scale is not None and len(list(root.glob("*.csv"))) != 1:
        raise ParameterError(f"av_scale={av_scale}: {root} has no CSV of valence and arousal")
    if any((root / quadrant).is_dir() for quadrant in QUADRANTS):
        return _read_quadrants(root)
    tables = sorted(root.glob("*.csv"))
    if len(tables) == 1 and read_table(tables[0]).has("path"):
        return _read_csv(tables[0], av_scale)
    if (place := nested(root, has_audio)) is not None:
        return _read_quadrants(place)
    if len(tables) == 1:
        return _read_csv(tables[0], av_scale)
    raise DatasetError(
        f"{root}: neither subfolders Q1 to Q4 nor exactly one CSV of path and quadrant "
        f"({len(tables)} CSV files); {described(root)}"
    )


def _read_quadrants(root: Path) -> Reading:
    """Read quadrant folders, and the artists and titles of a CSV beside them."""
    metadata = root / METADATA
    if not metadata.is_file():
        return read_quadrant_folders(name="folder", audio_root=root)
    try:
        return read_quadrant_folders(name="folder", audio_root=root, metadata=metadata)
    except DatasetError as error:
        reading = read_quadrant_folders(name="folder", audio_root=root)
        return replace(reading, warnings=(*reading.warnings, f"not used: {error}"))


def _read_csv(path: Path, av_scale: str | None) -> Reading:
    table = read_table(path)
    if not table.has("path") and any(map(table.has, ID_COLUMNS)):
        return read_quadrant_folders(
            name="folder", audio_root=None, annotations=path, metadata=path
        )
    files = tuple(map(without_scheme, table.column(("path",))))
    artists = table.column(("artist",)) if table.has("artist") else ("",) * len(files)
    for (line, _), file in zip(table.rows, files, strict=True):
        if not PurePosixPath(file).name:
            raise DatasetError(
                f"{path}, line {line}: '{excerpt(file)}' in column path is not a file name"
            )
        if (fault := length_fault(file)) is not None:
            raise DatasetError(f"{path}, line {line}: column path has {fault}")
    places = locate(path.parent, files)
    ids = clip_ids(path.parent, places)
    found = _labels(table, tuple(ids), av_scale)
    labels = found.quadrants
    errors = _rows_of_one_clip(path, ids, places)
    rows = {clip: i for i, clip in enumerate(ids)}
    kept = [clip for clip in sorted(rows) if labels[rows[clip]] is not None]
    if not kept:
        raise DatasetError(f"{path}: no clip is in a quadrant")
    order = [rows[clip] for clip in kept]
    present = tuple(places[i] if is_file(places[i]) else None for i in order)
    errors += [
        f"{path}: file {places[i]} does not exist"
        for i, found in zip(order, present, strict=True)
        if found is None
    ]
    named = earlier_ids(files)
    earlier = tuple(named[i] for i in order)
    had_order = tuple(sorted(set(earlier)))
    is_reordered = earlier != had_order and len(had_order) == len(earlier)
    clips = Clips(
        name="folder",
        ids=tuple(kept),
        quadrants=np.array([labels[i] for i in order], dtype=np.int64),
        audio=present,
        audio_hashes=content_hashes(present),
        artists=tuple(known(artists[i]) for i in order),
        valence=None if found.values is None else found.values[order, 0],
        arousal=None if found.values is None else found.values[order, 1],
        earlier_ids=earlier if earlier == had_order != tuple(kept) else None,
    )
    return Reading(
        clips=clips,
        errors=(*errors, *audio_in_two_quadrants(clips)),
        warnings=(
            *found.warnings,
            *findings(clips),
            *([f"{path}: {REORDERED}"] if is_reordered else []),
        ),
        encodings={path.name: table.encoding},
    )


def _labels(table: Table, ids: tuple[str, ...], scale: str | None) -> Labels:
    if table.has("quadrant") or not has_values(table):
        if scale is not None:
            raise ParameterError(f"av_scale={scale}: {table.path} is read by its quadrants")
        return Labels(quadrants=read_quadrants(table, ids=ids))
    return labels_from_values(table, ids=ids, scale=scale)


def _rows_of_one_clip(path: Path, ids: Sequence[str], places: Sequence[Path]) -> list[str]:
    files: dict[str, set[Path]] = {}
    for clip, place in zip(ids, places, strict=True):
        files.setdefault(clip, set()).add(place)
    counts = Counter(ids)
    return [
        f"{path}: clip {clip} has two rows; keep one"
        if len(files[clip]) == 1
        else f"{path}: {listing([str(file) for file in sorted(files[clip])])} differ only in "
        "the users' home folders; put them below one folder"
        for clip in sorted(clip for clip, count in counts.items() if count > 1)
    ]


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
        has_scale=True,
    ),
)
