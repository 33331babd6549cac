"""MTG-Jamendo mood and theme: tracks with tags, of which moods are converted to quadrants.

``TAG_QUADRANTS`` has the quadrants of Russell's circumplex in which a tag may lie. Tags whose
valence or arousal is ambiguous lie in two (``dark`` music may be tense or sombre), and tags of
themes, such as ``film``, are not used. A track is in a quadrant if its tags agree on exactly one.
Tracks whose tags contradict each other, and tracks whose tags leave several quadrants, are left out
and counted. The labels are derived from tags of uploaders: they are noisier than ratings.

As in mirdata, a clip id is a ``TRACK_ID`` and the audio is in folders ``00`` to ``99``; both
downloads, ``48/948.mp3`` and ``48/948.low.mp3``, are read. Artists are ``ARTIST_ID``. The published
splits are the protocols ``fixed-split-0`` to ``fixed-split-4``.

References
----------
D. Bogdanov, M. Won, P. Tovstogan, A. Porter, X. Serra, "The MTG-Jamendo dataset for automatic music
tagging", Machine Learning for Music Discovery Workshop, ICML 2019.
J. A. Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39(6),
1980.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from pathlib import Path

from mer_mlflow.datasets.annotated_files import (
    Annotations,
    checked_ids,
    parts_by_clip,
    read_annotated_files,
)
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import described, find_audio, find_table
from mer_mlflow.datasets.tables import Table, read_table
from mer_mlflow.errors import DatasetError, listing

TABLE = "autotagging_moodtheme.tsv"
PREFIX = "mood/theme---"
LOW_QUALITY = ".low"
N_SPLITS = 5
PARTS = {"train": "train", "validation": "validate", "test": "test"}
"""Parts of the published splits, by the names of their files."""
TAG_QUADRANTS: Mapping[str, frozenset[int]] = {
    tag: frozenset(int(number) - 1 for number in numbers.split())
    for numbers, tags in (
        ("1", "energetic fun funny groovy happy motivational party positive upbeat uplifting"),
        ("2", "horror"),
        ("3", "melancholic sad"),
        ("4", "calm love meditative mellow relaxing romantic soft"),
        ("1 2", "action fast heavy powerful sport"),
        ("1 4", "hopeful inspiring"),
        ("2 3", "dark"),
        ("3 4", "ballad slow"),
    )
    for tag in tags.split()
}
"""Quadrants in which a tag may lie, as labels 0 to 3."""
EVERY = frozenset(range(4))


def read_mtg_jamendo_mood(root: Path | None) -> Reading:
    """Read MTG-Jamendo mood and theme.

    Parameters
    ----------
    root : folder that contains ``autotagging_moodtheme.tsv`` and folders ``00`` to ``99`` of audio,
        at any depth, and optionally the folder ``splits`` beside the table

    Raises
    ------
    DatasetError
        If there is no table, or no track is in a quadrant.
    """
    assert root is not None
    path = find_table(root, TABLE)
    if path is None:
        raise DatasetError(
            f"{root}: no {TABLE}, here or in a subfolder; put the folder data of the repository "
            f"mtg-jamendo-dataset there; {described(root)}"
        )
    table = read_table(path, is_ragged=True)
    ids = checked_ids(table, ("TRACK_ID",))
    possible = dict(zip(ids, map(_possible, _tags(table)), strict=True))
    quadrants = {clip: next(iter(found)) for clip, found in possible.items() if len(found) == 1}
    if not quadrants:
        raise DatasetError(f"{path}: no track has tags of one quadrant ({PREFIX}happy …)")
    places = {_place(Path(file)): clip for clip, file in _column(table, ids, "PATH").items()}
    found = find_audio(root, key=_place)
    annotations = Annotations(
        quadrants=quadrants,
        artists=_column(table, ids, "ARTIST_ID"),
        partitions=_partitions(path.parent / "splits"),
        left_out=frozenset(ids) - quadrants.keys(),
        warnings=tuple(_left_out(path, possible)),
        encodings={path.name: table.encoding},
    )
    return read_annotated_files(
        annotations,
        name="mtg-jamendo-mood",
        root=root,
        audio={places.get(place, place): files for place, files in found.items()},
    )


def _tags(table: Table) -> list[tuple[str, ...]]:
    first = table.position(("TAGS",))
    return [tuple(cell.strip() for cell in cells[first:]) for _, cells in table.rows]


def _possible(tags: tuple[str, ...]) -> frozenset[int]:
    """Return the quadrants that all tags of a track allow: none if they contradict each other."""
    sets = (TAG_QUADRANTS.get(tag.removeprefix(PREFIX), EVERY) for tag in tags)
    return reduce(frozenset.intersection, sets, EVERY)


def _left_out(path: Path, possible: Mapping[str, frozenset[int]]) -> list[str]:
    groups = {
        "have tags of contradictory quadrants": [c for c, found in possible.items() if not found],
        "have no tag of a quadrant": [c for c, found in possible.items() if found == EVERY],
        "have tags that leave several quadrants": [
            clip for clip, found in possible.items() if 1 < len(found) < len(EVERY)
        ],
    }
    return [
        f"{path}: {len(clips)} tracks {what} and are left out: {listing(clips)}"
        for what, clips in groups.items()
        if clips
    ]


def _column(table: Table, ids: tuple[str, ...], name: str) -> dict[str, str]:
    return dict(zip(ids, table.column((name,)), strict=True))


def _place(path: Path) -> str:
    """Return folder and number of a track's file, ``48/948`` of both downloads."""
    return f"{path.parent.name}/{path.stem.removesuffix(LOW_QUALITY)}"


def _partitions(folder: Path) -> dict[str, dict[str, str]]:
    found = {}
    for name in (f"split-{number}" for number in range(N_SPLITS)):
        parts = {
            part: folder / name / f"autotagging_moodtheme-{file}.tsv"
            for file, part in PARTS.items()
        }
        if any(path.is_file() for path in parts.values()):
            found[name] = parts_by_clip(parts, ids=("TRACK_ID",), is_ragged=True)
    return found


DATASETS = (
    Dataset(
        name="mtg-jamendo-mood",
        title="MTG-Jamendo mood",
        summary="Tracks whose tags of mood agree on one quadrant.",
        citation="Bogdanov et al., ICML 2019 workshop",
        licence="CC BY-NC-SA 4.0 (tags); Creative Commons, by track (audio)",
        published_counts=None,
        needs_root=True,
        read=read_mtg_jamendo_mood,
    ),
)
