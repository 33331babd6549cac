"""MERGE: the public successor of 4QAED, with fixed train / validate / test splits.

The labels are the published quadrants. Published values of arousal and valence, from 0 to 1, are
read too if their CSV is there.

References
----------
P. Louro et al., "MERGE – A bimodal audio-lyrics dataset for static music emotion recognition",
2024, doi:10.5281/zenodo.13939205.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.layout import described, nested
from mer_mlflow.datasets.quadrant_folders import read_quadrant_folders
from mer_mlflow.errors import DatasetError

SPLITS = ("70_15_15", "40_30_30")
PARTS = ("train", "validate", "test")


def read_merge(root: Path | None, *, version: str) -> Reading:
    """Read MERGE Audio.

    Parameters
    ----------
    root : the folder ``MERGE_Audio_Complete`` or ``MERGE_Audio_Balanced``, or the one that holds it
    version : ``"complete"`` or ``"balanced"``

    Raises
    ------
    DatasetError
        If the metadata file is missing.
    """
    assert root is not None
    metadata_file = f"merge_audio_{version}_metadata.csv"
    folder = nested(root, lambda place: (place / metadata_file).is_file())
    if folder is None:
        raise DatasetError(
            f"{root}: no {metadata_file}, here or in a subfolder; unpack "
            f"MERGE_Audio_{version.capitalize()} there; {described(root)}"
        )
    values = folder / f"merge_audio_{version}_av_values.csv"
    return read_quadrant_folders(
        name=f"merge-{version}",
        audio_root=folder,
        annotations=folder / metadata_file,
        metadata=folder / metadata_file,
        values=values if values.is_file() else None,
        partitions={
            split: parts
            for split in SPLITS
            if (parts := _parts(folder, split, version)) is not None
        },
    )


def _parts(folder: Path, split: str, version: str) -> dict[str, Path] | None:
    for name in (f"tvt_{split}", f"tvt_{split.replace('_', '')}"):
        tables = folder / "tvt_dataframes" / name
        parts = {part: tables / f"{name}_{part}_audio_{version}.csv" for part in PARTS}
        if any(path.is_file() for path in parts.values()):
            return parts
    return None


def _declare(version: str, n_clips: int) -> Dataset:
    return Dataset(
        name=f"merge-{version}",
        title=f"MERGE {version.capitalize()}",
        summary=f"{n_clips} clips, with fixed train / validate / test splits.",
        citation="Louro et al., 2024, doi:10.5281/zenodo.13939205",
        licence="previews of commercial music, for research only",
        published_counts=dict.fromkeys(QUADRANTS, n_clips // 4) if version == "balanced" else None,
        needs_root=True,
        read=partial(read_merge, version=version),
        archive=f"MERGE_Audio_{version.capitalize()}",
        catalogue="4qaed",
    )


DATASETS = (_declare("complete", 3554), _declare("balanced", 3232))
