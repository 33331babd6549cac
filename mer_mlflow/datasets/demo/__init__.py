"""Demo: synthesised clips of 10 s, without feature tables.

The datasets are generated at their first use, in the cache folder. They are the same on every
machine up to rounding. They serve to try the commands: scores on them are not meaningful for real
music.

``demo-shifted`` has other pieces by other artists, with known differences from ``demo`` that models
meet on another dataset: the music is slower and darker, played more quietly, and its samples are
companded to 8 bits at half the sample rate, as by a telephone's codec. ``SHIFT`` has the values.
"""

from __future__ import annotations

import csv
import io
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.cache import cache_root
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.datasets.dataset import Dataset, Reading
from mer_mlflow.datasets.demo.music import DEMO_SR, DemoPiece, compose, render
from mer_mlflow.datasets.quadrant_folders import read_quadrant_folders
from mer_mlflow.errors import DatasetError
from mer_mlflow.paths import draft_name, remedy

Change = Callable[[NDArray[np.float32]], tuple[NDArray[np.float32], int]]
VERSION = 2
ANNOTATIONS = "annotations.csv"
SHIFTED, SHIFTED_VERSION = "demo-shifted", 1
N_SHIFTED = 80
"""Number of clips of the shifted demo."""


@dataclass(frozen=True, kw_only=True)
class Shift:
    """Differences of the shifted demo from the demo.

    Attributes
    ----------
    loudness : added to the level [dB]
    tempo : factor on the tempo
    tilt : added to the slope of the harmonics' levels [dB per octave]
    sr_divisor : divisor of the sample rate
    levels : int > 1, number of values of a companded sample
    """

    loudness: float
    tempo: float
    tilt: float
    sr_divisor: int
    levels: int


SHIFT = Shift(loudness=-6.0, tempo=0.85, tilt=-2.0, sr_divisor=2, levels=256)
MU = 255.0
"""Parameter of the mu-law by which samples are companded."""


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
    return _read_generated("demo", VERSION, lambda folder: _generate(folder, compose()))


def read_shifted(root: Path | None = None) -> Reading:
    """Read the shifted demo; it is generated first if it is not in the cache.

    Parameters
    ----------
    root : not used, the demo is in the cache folder

    Raises
    ------
    DatasetError
        If it does not exist and cannot be generated.
    """
    return _read_generated(
        SHIFTED,
        SHIFTED_VERSION,
        lambda folder: _generate(
            folder, [shifted(piece) for piece in compose(seed=2)[:N_SHIFTED]], change=coded
        ),
    )


def _read_generated(name: str, version: int, generate: Callable[[Path], None]) -> Reading:
    """Read a dataset in the cache folder, which is generated if it is not there."""
    folder = cache_root() / f"{name}-{version}"
    if not folder.is_dir():
        print(f"generating the {name} dataset (once, under a minute) …", flush=True)
        generate(folder)
    return read_quadrant_folders(
        name=name,
        audio_root=folder,
        annotations=folder / ANNOTATIONS,
        metadata=folder / ANNOTATIONS,
    )


def shifted(piece: DemoPiece) -> DemoPiece:
    """Return a piece of the shifted demo: slower, darker, quieter, by another artist."""
    return replace(
        piece,
        clip_id=piece.clip_id.replace("demo", "shifted"),
        artist=f"{piece.artist} (shifted)",
        tempo=SHIFT.tempo * piece.tempo,
        tilt=piece.tilt + SHIFT.tilt,
        loudness=piece.loudness + SHIFT.loudness,
    )


def coded(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    """Return samples as after a simple codec, and their sample rate [Hz].

    Parameters
    ----------
    samples : samples of a clip, from -1 to 1 [shape=(n_samples,)]
    """
    import soxr

    sr = DEMO_SR // SHIFT.sr_divisor
    low = np.clip(soxr.resample(samples, DEMO_SR, sr), -1, 1)
    companded = np.sign(low) * np.log1p(MU * np.abs(low)) / np.log1p(MU)
    steps = SHIFT.levels / 2 - 1
    rounded = np.round(companded * steps) / steps
    expanded = np.sign(rounded) * np.expm1(np.abs(rounded) * np.log1p(MU)) / MU
    return expanded.astype(np.float32), sr


def _unchanged(samples: NDArray[np.float32]) -> tuple[NDArray[np.float32], int]:
    return samples, DEMO_SR


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


def _generate(folder: Path, pieces: Sequence[DemoPiece], *, change: Change = _unchanged) -> None:
    try:
        build_demo(folder, pieces, change=change)
    except OSError as error:
        raise DatasetError(
            f"{folder}: the demo dataset cannot be generated ({error.strerror}); "
            f"{remedy(error)} there, or set MER_CACHE_ROOT to another folder, and give the "
            "same command again"
        ) from error


def build_demo(folder: Path, pieces: Sequence[DemoPiece], *, change: Change = _unchanged) -> None:
    """Synthesise clips of the demo; the folder is created when all files are complete.

    Parameters
    ----------
    folder : folder to create
    pieces : pieces to render
    change : returns the samples that are written, and their sample rate [Hz]

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
            samples, sr = change(render(piece))
            soundfile.write(buffer, samples, sr, format="FLAC", subtype="PCM_16")
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
    Dataset(
        name=SHIFTED,
        title="Demo, shifted",
        summary="80 synthesised clips of 10 s that differ from the demo in known respects.",
        citation="",
        licence="Apache-2.0",
        published_counts=dict.fromkeys(QUADRANTS, N_SHIFTED // 4),
        needs_root=False,
        read=read_shifted,
    ),
)
