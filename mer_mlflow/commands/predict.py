"""predict: predict the emotion of songs with a model made by ``fit``."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from mer_mlflow.commands.command import BAD_INPUT, OK
from mer_mlflow.commands.explanations import check_explanations, explain_songs
from mer_mlflow.commands.parameters import PREDICT
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.datasets.quadrant_folders import AUDIO_SUFFIXES
from mer_mlflow.deployment.prediction import EmotionPrediction
from mer_mlflow.deployment.trained import TrainedModel
from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.experiments.text import parse
from mer_mlflow.paths import given_path
from mer_mlflow.progress import progress
from mer_mlflow.spreadsheet import to_csv


def predict(
    *,
    clip: str,
    model: str,
    hop: float | None = None,
    timeline: bool = False,
    format: str = "table",
    explain: bool = False,
    output: str = "explanations",
) -> int:
    """Predict the emotion of a song, or of all songs of a folder, and print it.

    A file that cannot be used is named on stderr, and does not stop the others.

    Parameters
    ----------
    clip : audio file, or folder of them
    model : address of the model, see :func:`mer_mlflow.load_model`
    hop : float > 0 [s], time between the starts of windows, by default half a window
    timeline : whether to print one row per window instead of one per song
    format : ``table``, ``csv`` or ``json``
    explain : whether to explain each prediction by a figure and two lines of text
    output : folder for these figures

    Returns
    -------
    exit code: 0, or 2 if no song or not every song could be used

    Raises
    ------
    MerError
        If a parameter or the model cannot be used.
    """
    from mer_mlflow.deployment.logging import load_model

    root = given_path(clip, name="clip")
    songs = list(_songs(root))
    trained = load_model(model)
    if explain:
        check_explanations(output)
    found, errors = _predictions(trained, songs, hop=hop)
    if found:
        print(_text(found, timeline=timeline, format=format))
    if found and explain:
        stream = sys.stdout if format == "table" else sys.stderr
        explain_songs(trained, songs, root=root, hop=hop, output=output, stream=stream)
    for error in errors:
        print(f"error: {error}", file=sys.stderr)
    return BAD_INPUT if errors else OK


def _songs(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    found = [each for each in sorted(path.rglob("*")) if each.suffix.lower() in AUDIO_SUFFIXES]
    if not found:
        known = ", ".join(sorted(AUDIO_SUFFIXES))
        raise ParameterError(f"clip={path}: no audio files there ({known})")
    yield from found


def _predictions(
    trained: TrainedModel, songs: Sequence[Path], *, hop: float | None
) -> tuple[list[EmotionPrediction], list[AudioError]]:
    found, errors = [], []
    # stdout has the predictions alone, which another program may read
    with contextlib.redirect_stdout(sys.stderr), progress("songs") as advance:
        for number, song in enumerate(songs, start=1):
            try:
                found.append(trained.predict(song, hop=hop))
            except AudioError as error:
                errors.append(error)
            if len(songs) > 1:
                advance(number, len(songs))
    return found, errors


def _text(found: Sequence[EmotionPrediction], *, timeline: bool, format: str) -> str:
    import pandas as pd

    if timeline:
        parts = [each.timeline.assign(song=each.song) for each in found]
        table = pd.concat(parts, ignore_index=True)
        table = table[["song", *(name for name in table.columns if name != "song")]]
    else:
        table = pd.DataFrame([each.row for each in found])
    if format == "json":
        return json.dumps(table.to_dict("records"), indent=1)
    if format == "csv":
        return to_csv(table).decode().rstrip("\n")
    rounded = table.copy()
    for name in QUADRANTS:
        rounded[name] = [f"{value:.1%}" for value in table[name]]
    return rounded.to_string(index=False, float_format=lambda value: f"{value:.2f}")


def main(arguments: Sequence[str]) -> int:
    """Run ``predict``."""
    given = parse(PREDICT, arguments)
    for name in ("clip", "model"):
        if given[name] is None:
            raise ParameterError(f"{name}: is required; `mer predict --help` lists the parameters")
    return predict(**given)
