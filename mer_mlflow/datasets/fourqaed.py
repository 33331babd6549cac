"""4QAED: 30-second previews in Russell's quadrants, balanced (Original) and extended (New C and B).

Original-4QAED (the "TAFFC dataset") is published with audio, annotations, metadata and handcrafted
features. New-4QAED is read as a folder of quadrants with an optional annotation CSV.

References
----------
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020.
P. Louro, H. Redinho, R. Malheiro, R. P. Paiva, R. Panda, "A comparison study of deep learning
methodologies for music emotion recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache, partial
from importlib import resources
from pathlib import Path

from mer_mlflow.datasets.clips import QUADRANTS, FeatureTable
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import (
    described,
    has_audio,
    nested,
    quadrant_folders,
    subfolders,
)
from mer_mlflow.datasets.quadrant_folders import read_quadrant_folders
from mer_mlflow.datasets.tables import as_published, read_table
from mer_mlflow.errors import DatasetError

ARCHIVE = "MER_audio_taffc_dataset"
FEATURE_FILES = {"top100": "top100_features.csv", "all": "all_features.csv"}
ANNOTATIONS = ("panda_dataset_taffc_annotations.csv", "annotations.csv")
RANKING = "relieff_ranking_1714.csv"
"""File with the names of the study's 1714 features, most relevant first."""
TOP_100 = "fourqaed_top100.txt"
"""File with the column names of the published table of the 100 most relevant features."""
DESCRIPTIONS = "features.csv"
"""File that describes the published features, except those developed by the authors."""
OWN_FEATURES = ("ORIGINAL-", "VOICE-")
"""Prefix of the features developed by the authors."""
METADATA = ("panda_dataset_taffc_metadata.csv", "metadata.csv")


def read_4qaed(root: Path | None, *, name: str) -> Reading:
    """Read one of the 4QAED datasets.

    Parameters
    ----------
    root : folder that contains the unpacked archives ``MER_audio_taffc_dataset`` and
        ``Features - Audio MER``, or the first of them
    name : name of the dataset

    Raises
    ------
    DatasetError
        If the folder has neither annotations nor quadrant folders.
    """
    assert root is not None
    places = _places(root)
    audio_root = _first_folder(places)
    annotations = _first(places, ANNOTATIONS)
    if audio_root is None and annotations is None:
        raise DatasetError(
            f"{root}: neither {ANNOTATIONS[0]} nor folders Q1 to Q4, here or in a subfolder; "
            f"give the folder that contains {ARCHIVE}; {described(root)}"
        )
    beside = (*places, *subfolders(root))
    if root.name == ARCHIVE:
        beside = (*beside, *subfolders(root.parent))
    features = {
        table: path
        for table, file in FEATURE_FILES.items()
        if (path := _first(beside, (file,))) is not None
    }
    ranking = _first(beside, (RANKING,))
    return read_quadrant_folders(
        name=name,
        audio_root=audio_root,
        annotations=annotations,
        metadata=_first(places, METADATA),
        features=features,
        rankings={"all": ranking} if ranking is not None and "all" in features else {},
        published=_published(beside) if name == "original-4qaed" else {},
    )


@cache
def top_100() -> tuple[str, ...]:
    """Return the names of the 100 features published as the most relevant, in their order."""
    text = (resources.files(__package__) / TOP_100).read_text(encoding="utf-8")
    return tuple(text.splitlines())


def _published(places: Iterable[Path]) -> dict[str, Callable[[FeatureTable], FeatureTable]]:
    """Return functions that compare tables with the published ones, where columns are known."""
    found: dict[str, Callable[[FeatureTable], FeatureTable]] = {
        "top100": partial(as_published, published=top_100())
    }
    descriptions = _first(places, (DESCRIPTIONS,))
    if descriptions is not None:
        found["all"] = partial(_as_described, descriptions=descriptions)
    return found


def _as_described(table: FeatureTable, *, descriptions: Path) -> FeatureTable:
    described = set(read_table(descriptions).column(("Feature",)))
    others = (name for name in table.names if not name.startswith(OWN_FEATURES))
    return replace(table, unpublished=tuple(name for name in others if name not in described))


def _places(root: Path) -> tuple[Path, ...]:
    """Return the folders in which files are looked for, also if archives are nested."""

    def around(folder: Path) -> tuple[Path, ...]:
        archives = [folder / ARCHIVE] if (folder / ARCHIVE).is_dir() else []
        return (folder, *archives, *subfolders(folder))

    def fits(folder: Path) -> bool:
        places = around(folder)
        return _first(places, ANNOTATIONS) is not None or any(map(has_audio, places))

    return around(nested(root, fits) or root)


def _first_folder(places: Iterable[Path]) -> Path | None:
    """Return the first folder with quadrant folders that contain audio, else with any."""
    folders = [place for place in places if quadrant_folders(place)]
    return next(filter(has_audio, folders), next(iter(folders), None))


def _first(places: Iterable[Path], files: Iterable[str]) -> Path | None:
    return next(
        (place / file for place in places for file in files if (place / file).is_file()), None
    )


def _declare(
    *,
    name: str,
    title: str,
    summary: str,
    counts: tuple[int, int, int, int],
    archive: str = "",
) -> Dataset:
    return Dataset(
        name=name,
        title=title,
        summary=summary,
        citation="Panda et al., IEEE TAC 2020; Louro et al., Sensors 2024",
        licence="previews of commercial music, for research only",
        published_counts=dict(zip(QUADRANTS, counts, strict=True)),
        needs_root=True,
        read=partial(read_4qaed, name=name),
        archive=archive,
        catalogue="4qaed",
    )


DATASETS = (
    _declare(
        name="original-4qaed",
        title="Original-4QAED",
        summary="900 clips, 225 a quadrant, with the 100 most relevant handcrafted features.",
        counts=(225, 225, 225, 225),
        archive=ARCHIVE,
    ),
    _declare(
        name="new-4qaed-c",
        title="New-4QAED C",
        summary="1629 clips, complete and unbalanced.",
        counts=(434, 440, 397, 358),
    ),
    _declare(
        name="new-4qaed-b",
        title="New-4QAED B",
        summary="1372 clips, balanced by genre.",
        counts=(343, 343, 343, 343),
    ),
)
