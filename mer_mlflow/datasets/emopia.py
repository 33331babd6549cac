"""EMOPIA: clips of pop piano music, each labelled with a quadrant.

The audio is not published: bring it as files named by clip, such as ``Q1_0vLPYiPN7qY_0.wav``, or
synthesise the published MIDI files. A clip's label is that of ``label.csv`` if it is there, else
the beginning of its name. A song is a YouTube id, the eleven characters in the middle of a clip's
name. Clips of a song may be in several quadrants, so the protocol ``grouped`` keeps them together:
the song is read as the artist. Files ``train.csv``, ``val.csv`` and ``test.csv`` in one folder are
the protocol ``fixed-published``, in which no song is on two sides.

References
----------
H.-T. Hung, J. Ching, S. Doh, N. Kim, J. Nam, Y.-H. Yang, "EMOPIA: a multi-modal pop piano dataset
for emotion recognition and emotion-based music generation", ISMIR 2021, doi:10.5281/zenodo.5257995.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from mer_mlflow.datasets.annotated_files import (
    Annotations,
    checked_ids,
    parts_by_clip,
    read_annotated_files,
)
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import described, find_audio, find_table, nested, without_suffix
from mer_mlflow.datasets.tables import Table, read_quadrants, read_table
from mer_mlflow.errors import DatasetError, listing

NAME = re.compile(r"Q([1-4])_([\w-]{11})_\d+")
LABELS = "label.csv"
PARTITION = "published"
PARTS = {"train": "train", "val": "validate", "test": "test"}
"""Parts of the published partition, by the names of their files."""


def read_emopia(root: Path | None) -> Reading:
    """Read EMOPIA.

    Parameters
    ----------
    root : folder that contains audio files named by clip, at any depth, and optionally
        ``label.csv`` and a folder with ``train.csv``, ``val.csv`` and ``test.csv``

    Raises
    ------
    DatasetError
        If there are neither labels nor audio files named by clip.
    """
    assert root is not None
    audio = find_audio(root)
    path = find_table(root, LABELS)
    if path is None and not _prefixes(audio):
        raise DatasetError(
            f"{root}: neither {LABELS} nor audio files named by clip, such as Q1_0vLPYiPN7qY_0.wav "
            f"(quadrant, YouTube id, number); {described(root)}"
        )
    table = None if path is None else read_table(path)
    labels = _prefixes(audio) if table is None else _labels(table)
    renamed = [clip for clip, label in _prefixes(labels).items() if label != labels[clip]]
    warning = f"{path}: {len(renamed)} clips are not in the quadrant of their name: "
    annotations = Annotations(
        quadrants=labels,
        artists={clip: song for clip in labels if (song := _song(clip)) is not None},
        partitions=_partitions(root),
        warnings=(f"{warning}{listing(renamed)}",) if renamed else (),
        encodings={} if table is None else {table.path.name: table.encoding},
    )
    return read_annotated_files(annotations, name="emopia", root=root, audio=audio)


def _labels(table: Table) -> dict[str, int]:
    ids = tuple(map(without_suffix, checked_ids(table, ("ID",))))
    quadrants = read_quadrants(table.with_columns({"4Q": "Quadrant"}), ids=ids)
    return dict(zip(ids, quadrants, strict=True))


def _prefixes(names: Iterable[str]) -> dict[str, int]:
    matches = {name: NAME.fullmatch(name) for name in names}
    return {name: int(match[1]) - 1 for name, match in matches.items() if match}


def _song(clip: str) -> str | None:
    match = NAME.fullmatch(clip)
    return match and match[2]


def _partitions(root: Path) -> Mapping[str, Mapping[str, str]]:
    folder = nested(root, lambda place: all((place / f"{part}.csv").is_file() for part in PARTS))
    if folder is None:
        return {}
    paths = {part: folder / f"{name}.csv" for name, part in PARTS.items()}
    return {PARTITION: parts_by_clip(paths, ids=("fname", "ID"))}


DATASETS = (
    Dataset(
        name="emopia",
        title="EMOPIA",
        summary="Clips of pop piano music in quadrants; bring the audio yourself.",
        citation="Hung et al., ISMIR 2021, doi:10.5281/zenodo.5257995",
        licence="CC BY-NC-SA 4.0 (annotations and MIDI)",
        published_counts=dict(zip(QUADRANTS, (250, 265, 253, 310), strict=True)),
        needs_root=True,
        read=read_emopia,
    ),
)
