"""Reader of datasets whose audio files are named by clip, and labelled by tables."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from mer_mlflow.datasets.arousal_valence import Labels
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.datasets.dataset import Reading
from mer_mlflow.datasets.layout import without_suffix
from mer_mlflow.datasets.quadrant_folders import content_hashes, findings
from mer_mlflow.datasets.tables import Table, known, read_table
from mer_mlflow.errors import DatasetError, listing


@dataclass(frozen=True, kw_only=True)
class Annotations:
    """Content of a dataset's tables, by clip id.

    Attributes
    ----------
    quadrants : label of each labelled clip, 0 to 3
    values : valence and arousal of labelled clips, from -1 to 1; empty if none are published
    artists, titles : of clips with known ones
    partitions : part of each clip (``"train"``, ``"validate"``, ``"test"``), by partition
    left_out : clips of the tables that are in no quadrant; the warnings say why
    warnings : problems that leave the tables usable
    encodings : encoding of each file
    """

    quadrants: Mapping[str, int]
    values: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    artists: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    partitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    left_out: frozenset[str] = frozenset()
    warnings: tuple[str, ...] = ()
    encodings: Mapping[str, str] = field(default_factory=dict)


def read_annotated_files(
    annotations: Annotations, *, name: str, root: Path, audio: Mapping[str, Sequence[Path]]
) -> Reading:
    """Join tables and audio files.

    Labelled clips without audio are left out if others have audio, because audio of these datasets
    is often incomplete. So are clips with the same audio and different labels.

    Parameters
    ----------
    annotations : content of the tables
    name : name of the dataset
    root : its folder, for messages
    audio : files of each clip

    Raises
    ------
    DatasetError
        If no clip is left.
    """
    labelled = annotations.quadrants
    if not labelled:
        reasons = listing(list(annotations.warnings)) or "its tables have no rows"
        raise DatasetError(f"{root}: no clip is in a quadrant; {reasons}")
    ids = sorted(clip for clip in labelled if clip in audio or not audio)
    if not ids:
        raise DatasetError(
            f"{root}: none of {len(audio)} audio files ({listing(sorted(audio), most=3)} …) is one "
            f"of {len(labelled)} labelled clips ({listing(sorted(labelled), most=3)} …)"
        )
    clips = _clips(annotations, name=name, ids=ids, audio=audio)
    conflicts = _same_audio_other_label(clips)
    silent = sorted(set(labelled) - set(ids))
    unlabelled = sorted(set(audio) - set(labelled) - annotations.left_out)
    several = sorted(clip for clip in ids if len(audio.get(clip, ())) > 1)
    kept = clips.take(np.setdiff1d(np.arange(len(clips)), conflicts))
    if not len(kept):
        raise DatasetError(f"{root}: every clip has the audio of a clip in another quadrant")
    warnings = [
        f"{len(clips_)} {what}: {listing(clips_)}"
        for what, clips_ in (
            ("labelled clips have no audio file and are left out", silent),
            ("audio files have no label and are not used", unlabelled),
            ("clips have several audio files, of which the first is used", several),
            (
                "clips have the audio of a clip in another quadrant and are left out",
                [clips.ids[i] for i in conflicts],
            ),
        )
        if clips_
    ]
    return Reading(
        clips=kept,
        warnings=(*annotations.warnings, *warnings, *findings(kept)),
        encodings=annotations.encodings,
    )


def _clips(
    annotations: Annotations, *, name: str, ids: Sequence[str], audio: Mapping[str, Sequence[Path]]
) -> Clips:
    paths = tuple(audio[clip][0] if clip in audio else None for clip in ids)
    values = np.array([annotations.values.get(clip, (np.nan, np.nan)) for clip in ids])
    has_values = bool(annotations.values)
    return Clips(
        name=name,
        ids=tuple(ids),
        quadrants=np.array([annotations.quadrants[clip] for clip in ids], dtype=np.int64),
        audio=paths,
        audio_hashes=content_hashes(paths),
        artists=tuple(annotations.artists.get(clip) for clip in ids),
        titles=tuple(annotations.titles.get(clip) for clip in ids) if annotations.titles else (),
        valence=values[:, 0] if has_values else None,
        arousal=values[:, 1] if has_values else None,
        fixed_splits={
            partition: tuple(parts.get(clip) for clip in ids)
            for partition, parts in annotations.partitions.items()
        },
    )


def _same_audio_other_label(clips: Clips) -> list[int]:
    labels: dict[str | None, set[int]] = defaultdict(set)
    for content, label in zip(clips.audio_hashes, clips.quadrants.tolist(), strict=True):
        labels[content].add(label)
    return [
        i
        for i, content in enumerate(clips.audio_hashes)
        if content is not None and len(labels[content]) > 1
    ]


def annotations_of(
    labels: Labels, *, ids: Sequence[str], encodings: Mapping[str, str]
) -> Annotations:
    """Return the content of a table of valence and arousal.

    Parameters
    ----------
    labels : labels of its rows
    ids : clip id of each row
    encodings : encoding of the file
    """
    quadrants = {
        clip: label for clip, label in zip(ids, labels.quadrants, strict=True) if label is not None
    }
    assert labels.values is not None
    values = {
        clip: (float(valence), float(arousal))
        for clip, (valence, arousal) in zip(ids, labels.values, strict=True)
        if clip in quadrants
    }
    return Annotations(
        quadrants=quadrants,
        values=values,
        left_out=frozenset(ids) - quadrants.keys(),
        warnings=labels.warnings,
        encodings=encodings,
    )


def checked_ids(table: Table, names: Iterable[str]) -> tuple[str, ...]:
    """Return the clip ids of a table's rows.

    Parameters
    ----------
    table : the table
    names : possible names of its column of ids

    Raises
    ------
    DatasetError
        If a row has none, or a clip has two rows.
    """
    ids = table.column(names)
    for clip, (line, _) in zip(ids, table.rows, strict=True):
        if not clip:
            raise DatasetError(f"{table.path}, line {line}: a row without a clip id")
    twice = [clip for clip, count in Counter(ids).items() if count > 1]
    if twice:
        raise DatasetError(f"{table.path}: clips with two rows: {listing(twice)}; keep one of each")
    return ids


def with_metadata(
    annotations: Annotations,
    path: Path | None,
    *,
    ids: Iterable[str],
    artists: Iterable[str],
    titles: Iterable[str],
    is_ragged: bool = False,
) -> Annotations:
    """Add the artists and titles of a table; one that cannot be read gives a warning.

    Parameters
    ----------
    annotations : content of other tables
    path : the table, None if there is none
    ids, artists, titles : possible names of its columns
    is_ragged : see :func:`mer_mlflow.datasets.tables.read_table`
    """
    if path is None:
        return annotations
    try:
        table = read_table(path, is_ragged=is_ragged)
        clips = table.column(ids)
        found_artists = _cells_by_clip(table, ids=clips, names=artists)
        found_titles = _cells_by_clip(table, ids=clips, names=titles)
    except DatasetError as error:
        return replace(annotations, warnings=(*annotations.warnings, f"not used: {error}"))
    return replace(
        annotations,
        artists=unified({**annotations.artists, **found_artists}),
        titles={**annotations.titles, **found_titles},
        encodings={**annotations.encodings, path.name: table.encoding},
    )


def parts_by_clip(
    paths: Mapping[str, Path], *, ids: Iterable[str], is_ragged: bool = False
) -> dict[str, str]:
    """Return the part of each clip of a published partition, by clip id without a suffix.

    Parameters
    ----------
    paths : table of each part
    ids : possible names of their columns of ids
    is_ragged : see :func:`mer_mlflow.datasets.tables.read_table`

    Raises
    ------
    DatasetError
        If a table cannot be read, or a clip is in two parts.
    """
    names = tuple(ids)
    part_of: dict[str, str] = {}
    for part, path in paths.items():
        for clip in map(without_suffix, read_table(path, is_ragged=is_ragged).column(names)):
            if part_of.setdefault(clip, part) != part:
                raise DatasetError(f"{path}: clip {clip} is also in part {part_of[clip]}")
    return part_of


def _cells_by_clip(table: Table, *, ids: Sequence[str], names: Iterable[str]) -> dict[str, str]:
    """Return the known cells of the first of these columns that a table has, by clip id."""
    cells = (cell.strip(' \t"') for cell in table.column(names))
    return {
        clip: cell
        for clip, cell in zip(ids, cells, strict=True)
        if cell and known(cell) is not None
    }


def unified(artists: Mapping[str, str]) -> dict[str, str]:
    """Return artists with one spelling each, the most frequent of those that differ only in case
    and blanks."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for artist in artists.values():
        spellings[_plain(artist)][artist] += 1
    best = {
        plain: max(sorted(counts), key=counts.__getitem__) for plain, counts in spellings.items()
    }
    return {clip: best[_plain(artist)] for clip, artist in artists.items()}


def _plain(artist: str) -> str:
    return " ".join(artist.casefold().split())
