"""Quadrants that listeners heard: a CSV that the dataset ``folder`` reads."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pandas as pd

from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.spreadsheet import to_csv, unescaped

COLUMNS = ("path", "quadrant", "time", "model", "predicted")
LONGEST_NAME = 100
"""Maximum number of characters of a song's name in the name of its copy."""
_lock = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Heard:
    """What a listener heard.

    Attributes
    ----------
    quadrant : quadrant that was heard
    time : time of the answer
    model : address of the model, or several with semicolons; run of a cross-validation
    predicted : quadrant that was predicted
    """

    quadrant: str
    time: datetime
    model: str
    predicted: str


def add_song(table: Path, song: Path, heard: Heard) -> Path:
    """Add a song, which is copied to a folder beside the table, because uploads are temporary.

    Parameters
    ----------
    table : the CSV; its folder must exist
    song : audio file
    heard : the answer

    Returns
    -------
    the copy

    Raises
    ------
    ParameterError
        If the CSV or the copy cannot be written.
    DatasetError
        If the CSV has other columns.
    """
    with song.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()[:12]
    name = f"{digest}-{song.stem[:LONGEST_NAME]}{song.suffix}"
    copy = table.with_suffix("") / name
    _write(table, f"{copy.parent.name}/{name}", heard, copied=(song, copy))
    return copy


def add_clip(table: Path, audio: Path, heard: Heard) -> None:
    """Add a clip of a dataset, whose audio file stays where it is.

    Parameters
    ----------
    table : the CSV; its folder must exist
    audio : audio file of the clip
    heard : the answer

    Raises
    ------
    ParameterError
        If the CSV cannot be written.
    DatasetError
        If the CSV has other columns.
    """
    _write(table, str(audio.resolve()), heard)


def _write(
    table: Path, path: str, heard: Heard, *, copied: tuple[Path, Path] | None = None
) -> None:
    """Add a row; it replaces an earlier row of the same path, because a clip has one label."""
    row = [path, heard.quadrant, heard.time.isoformat(timespec="seconds")]
    row += [heard.model, heard.predicted]
    with _lock:
        earlier = _read(table)
        kept = earlier[earlier["path"] != path]
        rows = pd.concat([kept, pd.DataFrame([row], columns=list(COLUMNS))])
        try:
            if copied is not None:
                copied[1].parent.mkdir(exist_ok=True)
                shutil.copyfile(*copied)
            _replace(table, to_csv(rows))
        except OSError as error:
            raise ParameterError(
                f"heard={table}: cannot be written ({error.strerror}); name another file"
            ) from error


def _read(table: Path) -> pd.DataFrame:
    if not table.exists():
        return pd.DataFrame(columns=list(COLUMNS))
    try:
        found = pd.read_csv(table, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DatasetError(f"heard={table}: not a readable CSV file; name another one") from error
    if tuple(found.columns) != COLUMNS:
        raise DatasetError(
            f"heard={table}: its columns are not {', '.join(COLUMNS)}; name another file"
        )
    return found.map(unescaped)


def _replace(table: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=table.parent, delete=False) as file:
        file.write(content)
    written = Path(file.name)
    written.chmod(0o644)  # temporary files are readable by their owner only
    written.replace(table)


def check_table(table: Path) -> None:
    """Check that rows can be added to a table.

    Raises
    ------
    ParameterError
        If its folder does not exist or is not writable.
    DatasetError
        If it is not a CSV of this module.
    """
    if not os.access(table.resolve().parent, os.W_OK):
        raise ParameterError(f"heard={table}: its folder does not exist or is not writable")
    _read(table)
