"""Explanations of ``predict``: a figure of each song in a folder, and two lines of text."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from mer_mlflow.deployment.explanation import Explanation
from mer_mlflow.deployment.trained import TrainedModel
from mer_mlflow.errors import AudioError
from mer_mlflow.output import check_output, replace_files
from mer_mlflow.paths import given_path
from mer_mlflow.progress import progress

KIND = "explanations"
DPI = 110


def check_explanations(output: str) -> None:
    """Check that figures can be written to a folder, before songs are predicted.

    Raises
    ------
    ParameterError
        If the folder is not writable.
    """
    check_output(given_path(output, name="output"), [])


def explain_songs(
    trained: TrainedModel,
    songs: Sequence[Path],
    *,
    root: Path,
    hop: float | None,
    output: str,
    stream: TextIO,
) -> None:
    """Explain the predictions of songs; a song that cannot be used is left out.

    Each figure is written as soon as it is finished. It replaces that of an earlier explanation of
    the same song.

    Parameters
    ----------
    trained : the model
    songs : audio files
    root : folder of the songs, or the song; figures are named by the path from there
    hop : float > 0 [s], time between the starts of windows, by default half a window
    output : folder for the figures
    stream : where the text is written

    Raises
    ------
    ParameterError
        If a file of the folder was not written by an earlier explanation and has the same name, or
        a package is not installed.
    """
    folder = given_path(output, name="output")
    for number, song in enumerate(songs, start=1):
        title = "explanation" if len(songs) == 1 else f"explanation {number}/{len(songs)}"
        with contextlib.redirect_stdout(sys.stderr), progress(title) as advance:
            try:
                found = trained.explain(song, hop=hop, on_progress=advance)
            except AudioError:  # it could not be predicted either, and is reported
                continue
        name = _figure_name(song, root)
        replace_files(folder, {name: _png(found)}, kind=KIND, keep=True)
        print(found, f"written: {folder / name}", sep="\n", file=stream)


def _figure_name(song: Path, root: Path) -> str:
    """Return a name without folders, which differs if the paths differ."""
    path = song.name if song == root else song.relative_to(root).as_posix()
    return f"{path.replace('%', '%25').replace('/', '%2F')}.png"


def _png(explanation: Explanation) -> bytes:
    buffer = io.BytesIO()
    explanation.plot().savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
