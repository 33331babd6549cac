"""DEAM: 1802 excerpts and songs with values of valence and arousal.

The quadrants are those of the static values, on a scale from 1 to 9 with its centre at 5; clips on
an axis are left out. The static values are in two tables with different columns, one for the songs
1 to 2000 and one for 2001 to 2058. Artists and titles are read from ``metadata_2013.csv``,
``metadata_2014.csv`` and ``metadata_2015.csv`` if they are there. The dataset emoMusic ("1000
songs") is a part of DEAM.

References
----------
A. Aljanaki, Y.-H. Yang, M. Soleymani, "Developing a benchmark for emotional analysis of music",
PLOS ONE 12(3), 2017, doi:10.1371/journal.pone.0173392.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mer_mlflow.datasets.annotated_files import (
    Annotations,
    annotations_of,
    checked_ids,
    read_annotated_files,
    with_metadata,
)
from mer_mlflow.datasets.arousal_valence import labels_from_values
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import described, find_audio, find_table
from mer_mlflow.datasets.tables import read_table
from mer_mlflow.errors import DatasetError, listing

TABLES = (
    "static_annotations_averaged_songs_1_2000.csv",
    "static_annotations_averaged_songs_2000_2058.csv",
)
METADATA = tuple(f"metadata_{year}.csv" for year in (2013, 2014, 2015))
AUDIO = ("MEMD_audio",)
COLUMNS = {"valence_mean": "valence", "arousal_mean": "arousal"}


def read_deam(root: Path | None) -> Reading:
    """Read DEAM.

    Parameters
    ----------
    root : folder that contains ``MEMD_audio`` and the unpacked annotations, at any depth

    Raises
    ------
    DatasetError
        If there is no table of static values.
    """
    assert root is not None
    found = {name: find_table(root, name) for name in TABLES}
    paths = [path for path in found.values() if path is not None]
    if not paths:
        raise DatasetError(
            f"{root}: neither {' nor '.join(TABLES)}, here or in a subfolder; unpack "
            f"DEAM_Annotations there; {described(root)}"
        )
    annotations = _joined([_static(path) for path in paths])
    absent = [name for name, path in found.items() if path is None]
    if absent:
        warning = f"{root}: no {listing(absent)}, so its songs are left out"
        annotations = replace(annotations, warnings=(*annotations.warnings, warning))
    for name in METADATA:
        annotations = with_metadata(
            annotations,
            find_table(root, name),
            ids=("song_id", "id"),
            artists=("Artist",),
            titles=("Song title", "Track", "title"),
            is_ragged=True,
        )
    audio = find_audio(root, folders=AUDIO)
    return read_annotated_files(annotations, name="deam", root=root, audio=audio)


def _static(path: Path) -> Annotations:
    table = read_table(path).with_columns(COLUMNS)
    ids = checked_ids(table, ("song_id",))
    labels = labels_from_values(table, ids=ids, scale="1-9")
    return annotations_of(labels, ids=ids, encodings={path.name: table.encoding})


def _joined(tables: list[Annotations]) -> Annotations:
    twice = {clip for clip in tables[0].quadrants if any(clip in t.quadrants for t in tables[1:])}
    if twice:
        raise DatasetError(f"{' and '.join(TABLES)} both have songs {listing(sorted(twice))}")
    return Annotations(
        quadrants={clip: label for table in tables for clip, label in table.quadrants.items()},
        values={clip: pair for table in tables for clip, pair in table.values.items()},
        left_out=frozenset().union(*(table.left_out for table in tables)),
        warnings=tuple(warning for table in tables for warning in table.warnings),
        encodings={name: each for table in tables for name, each in table.encodings.items()},
    )


DATASETS = (
    Dataset(
        name="deam",
        title="DEAM",
        summary="1802 excerpts and songs with values of valence and arousal.",
        citation="Aljanaki et al., PLOS ONE 2017, doi:10.1371/journal.pone.0173392",
        licence="CC BY-NC",
        published_counts=None,
        needs_root=True,
        read=read_deam,
    ),
)
