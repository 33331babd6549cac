"""MERGE: the public successor of 4QAED, with fixed train / validate / test splits.

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
    return read_quadrant_folders(
        name=f"merge-{version}",
        audio_root=folder,
        annotations=folder / metadata_file,
        metadata=folder / metadata_file,
        partitions={
            split: parts
            for split in SPLITS
            if (parts := _parts(folder, split, version)) is not None
        },
    )


def _parts(folder: Path, split: str, version: str) -> dict[str, Path] | None:
    tables = folder / "tvt_dataframes" / f"tvt_{split}"
    parts = {part: tables / f"tvt_{split}_{part}_audio_{version}.csv" for part in PARTS}
    return parts if any(path.is_file() for path in parts.values()) else None


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
    )


DATASETS = (_declare("complete", 3554), _declare("balanced", 3232))
