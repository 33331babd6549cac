"""Demo: 160 synthesised clips of 10 s, without feature tables.

The dataset is generated at its first use, in the cache folder. It is the same on every machine up
to rounding. It serves to try the commands: scores on it are not meaningful for real music.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from mer_mlflow.cache import cache_root
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.demo.music import DEMO_SR, DemoPiece, compose, render
from mer_mlflow.datasets.quadrant_folders import read_quadrant_folders
from mer_mlflow.errors import DatasetError
from mer_mlflow.paths import draft_name, remedy

VERSION = 2
ANNOTATIONS = "annotations.csv"


def read_demo(root: Path | None = None) -> Reading:
    """Read the demo dataset; it is generated first if it is not in the cache.

    Parameters
    ----------
    root : not used, the demo is in the cache folder

    Raises
    ------
    DatasetError
        If it does not exist and cannot be generated.
    """
    folder = cache_root() / f"demo-{VERSION}"
    if not folder.is_dir():
        print("generating the demo dataset (once, under a minute) …", flush=True)
        _generate(folder, compose())
    return read_quadrant_folders(
        name="demo",
        audio_root=folder,
        annotations=folder / ANNOTATIONS,
        metadata=folder / ANNOTATIONS,
    )


def unseen_songs() -> Path:
    """Return a folder with a song of each quadrant that is not in the demo dataset.

    Raises
    ------
    DatasetError
        If it does not exist and cannot be generated.
    """
    folder = cache_root() / f"demo-unseen-{VERSION}"
    if not folder.is_dir():
        pieces = compose(seed=1)[: len(QUADRANTS)]
        _generate(folder, [replace(piece, clip_id=f"unseen-{piece.quadrant}") for piece in pieces])
    return folder


def _generate(folder: Path, pieces: Sequence[DemoPiece]) -> None:
    try:
        build_demo(folder, pieces)
    except OSError as error:
        raise DatasetError(
            f"{folder}: the demo dataset cannot be generated ({error.strerror}); "
            f"{remedy(error)} there, or set MER_CACHE_ROOT to another folder, and give the "
            "same command again"
        ) from error


def build_demo(folder: Path, pieces: Sequence[DemoPiece]) -> None:
    """Synthesise clips of the demo; the folder is created when all files are complete.

    Parameters
    ----------
    folder : folder to create
    pieces : pieces to render

    Raises
    ------
    OSError
        If it cannot be written; all files are removed then.
    """
    import soundfile

    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.parent / draft_name(".demo-")
    draft.mkdir()
    try:
        for quadrant in QUADRANTS:
            (draft / quadrant).mkdir()

        def write(piece: DemoPiece) -> None:
            buffer = io.BytesIO()  # soundfile's errors lack the reason of a failed write
            soundfile.write(buffer, render(piece), DEMO_SR, format="FLAC", subtype="PCM_16")
            path = draft / piece.quadrant / f"{piece.clip_id}.flac"
            path.write_bytes(buffer.getvalue())

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(write, pieces))
        with (draft / ANNOTATIONS).open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("Song", "Artist", "Quadrant"))
            writer.writerows((piece.clip_id, piece.artist, piece.quadrant) for piece in pieces)
        try:
            draft.rename(folder)
        except OSError:
            if not folder.is_dir():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


DATASETS = (
    Dataset(
        name="demo",
        title="Demo",
        summary="160 synthesised clips of 10 s, generated at their first use.",
        citation="",
        licence="Apache-2.0",
        published_counts=dict.fromkeys(QUADRANTS, 40),
        needs_root=False,
        read=read_demo,
    ),
)
