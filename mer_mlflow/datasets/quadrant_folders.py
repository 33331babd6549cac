"""Reader of the common layout of MER datasets: audio in folders Q1 to Q4, with CSV files."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from mer_mlflow.datasets.arousal_valence import read_values
from mer_mlflow.datasets.clips import QUADRANTS, Clips, FeatureTable
from mer_mlflow.datasets.dataset import Reading
from mer_mlflow.datasets.layout import (
    AUDIO_SUFFIXES,
    audio_in,
    described,
    quadrant_folders,
    renamed,
    subfolders,
    without_suffix,
)
from mer_mlflow.datasets.tables import (
    ID_COLUMNS,
    Table,
    known,
    ranked,
    read_features,
    read_quadrants,
    read_table,
)
from mer_mlflow.errors import DatasetError, listing

GENRES = ("GenresStr", "Genres")
"""Columns of genres; where there are both, the second one is their number."""
OTHER_AUDIO_SUFFIXES = (".aac", ".aif", ".aiff", ".ape", ".mp4", ".opus", ".wma")


def read_quadrant_folders(
    *,
    name: str,
    audio_root: Path | None,
    annotations: Path | None = None,
    metadata: Path | None = None,
    features: Mapping[str, Path] | None = None,
    rankings: Mapping[str, Path] | None = None,
    published: Mapping[str, Callable[[FeatureTable], FeatureTable]] | None = None,
    partitions: Mapping[str, Mapping[str, Path]] | None = None,
    values: Path | None = None,
    scale: str = "0-1",
) -> Reading:
    """Read a dataset of quadrant folders.

    Parameters
    ----------
    name : name of the dataset
    audio_root : folder with subfolders Q1 to Q4, None for features without audio, or for audio
        in the folder of the annotations or a subfolder of it
    annotations : CSV of labels, by default labels are the names of the folders
    metadata : CSV with a column ``Artist``, ``Title`` or both
    features : feature CSVs by table name
    rankings : for a feature table, the CSV whose column ``feature`` names the columns to read,
        most relevant first
    published : for a feature table whose published columns are known, a function that compares it
        with them
    partitions : for each fixed split, the CSV that lists the clips of each part
    values : CSV with columns ``Arousal`` and ``Valence``, which do not change the labels
    scale : scale of these values, one of :data:`mer_mlflow.datasets.arousal_valence.SCALES`

    Returns
    -------
    the clips and every contradiction found

    Raises
    ------
    DatasetError
        If there is nothing to read, or a CSV is malformed.
    """
    files = audio_files(audio_root) if audio_root is not None else {}
    errors = _files_in_conflict(files)
    tables: list[Table] = []
    if annotations is not None:
        tables.append(read_table(annotations))
        labels, conflicts = _labels_of(tables[0])
        files = files or _loose_files(annotations.parent, labels)
        labels, files = _matched(labels, files)
        errors += conflicts + _folders_against_labels(files, labels)
    else:
        labels = {clip: found[0][0] for clip, found in files.items()}
    if not labels:
        raise DatasetError(
            f"{audio_root}: no clips; subfolders Q1 to Q4 with audio files "
            f"({', '.join(AUDIO_SUFFIXES)}) are expected{_contents(audio_root)}"
        )
    ids = tuple(sorted(labels))
    feature_tables = _feature_tables(features or {}, rankings or {}, published or {}, ids, tables)
    artists: Mapping[str, str] = {}
    titles: Mapping[str, str] = {}
    genres: Mapping[str, str] = {}
    if metadata is not None:
        tables.append(_with_ids(read_table(metadata), ids))
        artists, titles = (_cells_of(tables[-1], name) for name in ("Artist", "Title"))
        genres = next(filter(None, (_cells_of(tables[-1], name) for name in GENRES)), {})
    published_values = None
    if values is not None:
        tables.append(_with_ids(read_table(values), ids))
        rows = tables[-1].column(ID_COLUMNS)
        published_values = read_values(tables[-1], ids=rows, clip_ids=ids, scale=scale)
    audio = tuple(files[clip][0][1] if clip in files else None for clip in ids)
    unread = unread_files(audio_root) if audio_root is not None else []
    clips = Clips(
        name=name,
        ids=ids,
        quadrants=np.array([labels[clip] for clip in ids], dtype=np.int64),
        audio=audio,
        audio_hashes=content_hashes(audio),
        artists=tuple(known(artists.get(clip, "")) for clip in ids),
        titles=tuple(titles.get(clip) or None for clip in ids) if titles else (),
        genres=tuple(genres.get(clip) or None for clip in ids) if genres else (),
        features=feature_tables,
        valence=None if published_values is None else published_values[:, 0],
        arousal=None if published_values is None else published_values[:, 1],
        fixed_splits={
            split: _parts_of(parts, ids, errors) for split, parts in (partitions or {}).items()
        },
    )
    return Reading(
        clips=clips,
        errors=(*errors, *audio_in_two_quadrants(clips)),
        warnings=(*unread, *_unlabelled(clips, files), *findings(clips)),
        encodings={table.path.name: table.encoding for table in tables},
    )


def audio_files(root: Path) -> dict[str, list[tuple[int, Path]]]:
    """Find the audio files of quadrant folders.

    Parameters
    ----------
    root : folder with subfolders Q1 to Q4

    Returns
    -------
    (label, file) of each file, by clip id
    """
    found: dict[str, list[tuple[int, Path]]] = defaultdict(list)
    for label, folder in quadrant_folders(root):
        for path in audio_in(folder):
            found[path.stem].append((label, path))
    return dict(found)


def _loose_files(root: Path, labels: Mapping[str, int]) -> dict[str, list[tuple[int, Path]]]:
    """Return labelled audio files of a folder or its first subfolder that has any, by clip id."""
    for folder in (root, *subfolders(root)):
        paths = {path.stem: path for path in audio_in(folder)}
        clip_of = {name: name for name in paths if name in labels} | renamed(paths, labels)
        if clip_of:
            return {name: [(labels[clip], paths[name])] for name, clip in sorted(clip_of.items())}
    return {}


def _matched(
    labels: Mapping[str, int], files: Mapping[str, list[tuple[int, Path]]]
) -> tuple[dict[str, int], dict[str, list[tuple[int, Path]]]]:
    """Name clips alike whose files have other names than in the table."""
    clip_of = renamed(files, labels)
    ids = {clip: without_suffix(clip) for clip in clip_of.values()}
    return (
        {ids.get(clip, clip): label for clip, label in labels.items()},
        {ids.get(clip_of.get(name, name), name): found for name, found in files.items()},
    )


def _with_ids(table: Table, ids: Iterable[str]) -> Table:
    """Return a table in which clips are named by their ids."""
    return table.renamed(renamed(table.column(ID_COLUMNS), ids))


def _contents(root: Path | None) -> str:
    return "" if root is None else f"; {described(root)}"


def content_hashes(paths: Sequence[Path | None]) -> tuple[str | None, ...]:
    """Hash the contents of files, on all cores.

    Parameters
    ----------
    paths : files, None for clips without a file

    Returns
    -------
    hex digest of each file, None for clips without a file

    Raises
    ------
    DatasetError
        If a file cannot be read.
    """
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return tuple(pool.map(_content_hash, paths))


def _content_hash(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error


def _labels_of(table: Table) -> tuple[dict[str, int], list[str]]:
    ids = table.column(ID_COLUMNS)
    for clip, (line, _) in zip(ids, table.rows, strict=True):
        if not clip:
            raise DatasetError(f"{table.path}, line {line}: a row without a clip id")
    labels: dict[str, int] = {}
    errors = []
    for clip, label in zip(ids, read_quadrants(table, ids=ids), strict=True):
        if labels.setdefault(clip, label) != label:
            errors.append(
                f"{table.path}: clip {clip} is in two quadrants, "
                f"{QUADRANTS[labels[clip]]} and {QUADRANTS[label]}; keep one row"
            )
    return labels, errors


def _feature_tables(
    features: Mapping[str, Path],
    rankings: Mapping[str, Path],
    published: Mapping[str, Callable[[FeatureTable], FeatureTable]],
    ids: Sequence[str],
    tables: list[Table],
) -> dict[str, FeatureTable]:
    found = {}
    for name, path in features.items():
        tables.append(_with_ids(read_table(path), ids))
        found[name] = read_features(tables[-1], clip_ids=ids)
        if name in published:
            found[name] = published[name](found[name])
    for name, path in rankings.items():
        tables.append(read_table(path))
        found[name] = ranked(found[name], tables[-1].column(("feature",)), source=path)
    return found


def _cells_of(table: Table, name: str) -> dict[str, str]:
    """Return the cells of a column by clip id; empty if the table has no such column."""
    if not table.has(name):
        return {}
    return dict(zip(table.column(ID_COLUMNS), table.column((name,)), strict=True))


def _parts_of(
    parts: Mapping[str, Path], ids: Sequence[str], errors: list[str]
) -> tuple[str | None, ...]:
    part_of: dict[str, str] = {}
    for part, path in parts.items():
        for clip in _with_ids(read_table(path), ids).column(ID_COLUMNS):
            if part_of.setdefault(clip, part) != part:
                errors.append(f"{path}: clip {clip} is in {part_of[clip]} and in {part}")
    unknown = sorted(set(part_of) - set(ids))
    if unknown:
        errors.append(f"{next(iter(parts.values())).parent}: unknown clips {listing(unknown)}")
    return tuple(part_of.get(clip) for clip in ids)


def _files_in_conflict(files: Mapping[str, Sequence[tuple[int, Path]]]) -> list[str]:
    errors = []
    for clip, found in files.items():
        labels = {QUADRANTS[label] for label, _ in found}
        if len(labels) > 1:
            errors.append(
                f"clip {clip} is in two quadrants: {found[0][1]} and {found[1][1]}; remove one file"
            )
        elif len(found) > 1:
            errors.append(f"clip {clip} has two files: {found[0][1]} and {found[1][1]}; remove one")
    return errors


def _folders_against_labels(
    files: Mapping[str, Sequence[tuple[int, Path]]], labels: Mapping[str, int]
) -> list[str]:
    return [
        f"clip {clip} is labelled {QUADRANTS[labels[clip]]} but lies in {found[0][1]}; "
        "move the file or correct the label"
        for clip, found in files.items()
        if clip in labels and labels[clip] != found[0][0]
    ]


def unread_files(root: Path) -> list[str]:
    """Return warnings about subfolders and files in other formats, which are ignored."""
    unread = [
        str(path.relative_to(root))
        for _, folder in quadrant_folders(root)
        for path in sorted(folder.iterdir())
        if path.is_dir() or path.suffix.lower() in OTHER_AUDIO_SUFFIXES
    ]
    return [f"{len(unread)} entries are ignored: {listing(unread)}"] if unread else []


def audio_in_two_quadrants(clips: Clips) -> list[str]:
    """Return errors about clips with the same audio and different labels."""
    return [
        f"clips with the same audio have different labels: {listing([clips.ids[i] for i in same])}"
        for same in _same_audio(clips)
        if len({int(clips.quadrants[i]) for i in same}) > 1
    ]


def _same_audio(clips: Clips) -> list[list[int]]:
    positions: dict[str, list[int]] = defaultdict(list)
    for i, content in enumerate(clips.audio_hashes):
        if content is not None:
            positions[content].append(i)
    return [same for same in positions.values() if len(same) > 1]


def _unlabelled(clips: Clips, files: Iterable[str]) -> Iterable[str]:
    unlabelled = sorted(set(files) - set(clips.ids))
    if unlabelled:
        yield f"{len(unlabelled)} audio files have no label and are not used: {listing(unlabelled)}"


def findings(clips: Clips) -> Iterable[str]:
    """Yield warnings about missing files, equal audio of several clips, and missing features."""
    missing = [clip for clip, path in zip(clips.ids, clips.audio, strict=True) if path is None]
    if missing and len(missing) < len(clips):
        yield f"{len(missing)} clips have no audio file: {listing(missing)}"
    for same in _same_audio(clips):
        yield f"clips with the same audio: {listing([clips.ids[i] for i in same])}"
    values = np.zeros(len(clips)) if clips.arousal is None else clips.arousal
    if valueless := [clips.ids[i] for i in np.flatnonzero(np.isnan(values))]:
        yield f"{len(valueless)} clips have no arousal and valence: {listing(valueless)}"
    for name, table in clips.features.items():
        rowless = [clips.ids[i] for i in np.flatnonzero(np.isnan(table.values).any(axis=1))]
        if rowless:
            yield f"{len(rowless)} clips have no complete row in '{name}': {listing(rowless)}"
