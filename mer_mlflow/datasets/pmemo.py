"""PMEmo: 794 choruses of pop songs, 767 of them with values of valence and arousal.

The quadrants are those of the static values, on a scale from 0 to 1 with its centre at 0.5; clips
on an axis and clips without values are left out. The spelling of artists varies in its metadata:
names that differ only in case and blanks are one artist, whose clips are on one side of
artist-grouped folds.

References
----------
K. Zhang, H. Zhang, S. Li, C. Yang, L. Sun, "The PMEmo dataset for music emotion recognition",
ICMR 2018, doi:10.1145/3206025.3206037.
"""

from __future__ import annotations

from pathlib import Path

from mer_mlflow.datasets.annotated_files import (
    annotations_of,
    checked_ids,
    read_annotated_files,
    with_metadata,
)
from mer_mlflow.datasets.arousal_valence import labels_from_values
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import described, find_audio, find_table
from mer_mlflow.datasets.tables import read_table
from mer_mlflow.errors import DatasetError

STATIC, METADATA = "static_annotations.csv", "metadata.csv"
AUDIO = ("chorus",)
COLUMNS = {"Arousal(mean)": "arousal", "Valence(mean)": "valence"}
ID = ("musicId", "song_id")


def read_pmemo(root: Path | None) -> Reading:
    """Read PMEmo.

    Parameters
    ----------
    root : folder that contains ``chorus`` (or ``Chorus``), ``annotations`` and ``metadata.csv``, at
        any depth

    Raises
    ------
    DatasetError
        If there is no table of static values.
    """
    assert root is not None
    path = find_table(root, STATIC)
    if path is None:
        raise DatasetError(
            f"{root}: no {STATIC}, here or in a subfolder; unpack PMEmo2019 there; "
            f"{described(root)}"
        )
    table = read_table(path).with_columns(COLUMNS)
    ids = checked_ids(table, ID)
    labels = labels_from_values(table, ids=ids, scale="0-1")
    annotations = with_metadata(
        annotations_of(labels, ids=ids, encodings={path.name: table.encoding}),
        find_table(root, METADATA),
        ids=ID,
        artists=("artist",),
        titles=("title",),
    )
    audio = find_audio(root, folders=AUDIO)
    return read_annotated_files(annotations, name="pmemo", root=root, audio=audio)


DATASETS = (
    Dataset(
        name="pmemo",
        title="PMEmo",
        summary="794 choruses of pop songs, 767 of them with values of valence and arousal.",
        citation="Zhang et al., ICMR 2018, doi:10.1145/3206025.3206037",
        licence="none named; choruses of commercial music, for research only",
        published_counts=None,
        needs_root=True,
        read=read_pmemo,
        archive="PMEmo2019",
    ),
)
