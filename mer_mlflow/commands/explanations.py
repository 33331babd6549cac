"""Explanations of ``predict``: a figure of each song in a folder, and two lines of text."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Mapping, Sequence
from itertools import product
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
    models: Sequence[TrainedModel],
    songs: Mapping[Path, str],
    *,
    hop: float | None,
    output: str,
    stream: TextIO,
) -> None:
    """Explain the predictions of songs; a song that cannot be used is left out.

    Each figure is written as soon as it is finished. It replaces that of an earlier explanation of
    the same song.

    Parameters
    ----------
    models : the models
    songs : name of the figure of each audio file, without its suffix
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
    pairs = list(product(songs.items(), enumerate(models, start=1)))
    for done, ((song, name), (number, trained)) in enumerate(pairs, start=1):
        title = "explanation" if len(pairs) == 1 else f"explanation {done}/{len(pairs)}"
        with contextlib.redirect_stdout(sys.stderr), progress(title) as advance:
            try:
                found = trained.explain(song, hop=hop, on_progress=advance)
            except AudioError:  # it could not be predicted either, and is reported
                continue
        which = "" if len(models) == 1 else f"-{number}-{trained.method.name}"
        file = f"{name}{which}.png"
        replace_files(folder, {file: _png(found)}, kind=KIND, keep=True)
        print(found, f"written: {folder / file}", sep="\n", file=stream)


def _png(explanation: Explanation) -> bytes:
    buffer = io.BytesIO()
    explanation.plot().savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()
