"""predict: predict the emotion of songs with models made by ``fit``."""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from mer_mlflow.commands.command import BAD_INPUT, OK, name_run
from mer_mlflow.commands.explanations import check_explanations, explain_songs
from mer_mlflow.commands.parameters import PREDICT
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.datasets.demo import unseen_songs
from mer_mlflow.datasets.layout import AUDIO_SUFFIXES
from mer_mlflow.deployment.prediction import EmotionPrediction, mean_of
from mer_mlflow.deployment.trained import TrainedModel
from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.experiments.text import pairs, parse, split_names
from mer_mlflow.output import check_output, replace_files
from mer_mlflow.paths import given_path
from mer_mlflow.progress import progress
from mer_mlflow.spreadsheet import to_csv

CLIP, MEAN, JAMS, DEMO = "clip", "mean", "jams", "demo"


@dataclass(frozen=True, kw_only=True)
class Row:
    """A model's prediction of a song.

    Attributes
    ----------
    song : path of the song
    model : address of the model, or ``"mean"``
    prediction : the prediction
    """

    song: Path
    model: str
    prediction: EmotionPrediction


def predict(
    *,
    clips: Sequence[str],
    model: str | None = None,
    hop: float | None = None,
    timeline: bool = False,
    calibrated: bool = True,
    format: str = "table",
    explain: bool = False,
    output: str = "predictions",
) -> int:
    """Predict the emotion of songs, and print it.

    A file that cannot be used is named on stderr, and does not stop the others.

    Parameters
    ----------
    clips : audio files, or folders of them; ``demo`` for a synthesised song of each quadrant that
        is not in the demo dataset
    model : address of the model, see :func:`mer_mlflow.load_model`; several are separated by
        commas, and their mean is printed too; by default ``demo``, a model of the demo
    hop : float > 0 [s], time between the starts of windows, by default half a window
    timeline : whether to print one row per window instead of one per song
    calibrated : whether probabilities are calibrated
    format : ``table``, ``csv``, ``json``, or ``jams`` for a file of each song
    explain : whether to explain each prediction by a figure and two lines of text
    output : folder for files and figures

    Returns
    -------
    exit code: 0, or 2 if no song or not every song could be used

    Raises
    ------
    MerError
        If a parameter or a model cannot be used.
    """
    paths = [unseen_songs() if clip == DEMO else given_path(clip, name=CLIP) for clip in clips]
    songs = [song for path in paths for song in _songs(path)]
    name_run(f"predict {Path(clips[0]).name}")
    names = _output_names(songs)
    if format == JAMS:
        check_output(Path(output), [f"{name}.jams" for name in names.values()])
    if explain:
        check_explanations(output)
    # stdout has the predictions alone, which another program may read
    with contextlib.redirect_stdout(sys.stderr):
        models = dict(_loaded(split_names(model)))
        rows, errors = _predictions(models, songs, hop=hop, calibrated=calibrated)
    if rows and format == JAMS:
        _write_jams(rows, names, folder=Path(output))
    elif rows:
        print(_text(rows, timeline=timeline, format=format))
    if rows and explain:
        stream = sys.stdout if format == "table" else sys.stderr
        explain_songs(list(models.values()), names, hop=hop, output=output, stream=stream)
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


def _loaded(addresses: Sequence[str]) -> Iterator[tuple[str, TrainedModel]]:
    """Load models by address, and print what each one is worth."""
    from mer_mlflow.deployment.logging import load_model

    for address in dict.fromkeys(addresses or [DEMO]):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", UserWarning)
            trained = load_model(address)
        print(f"model: {trained}")
        for warning in found:
            print(f"warning: {warning.message}")
        yield address, trained


def _predictions(
    models: dict[str, TrainedModel], songs: Sequence[Path], *, hop: float | None, calibrated: bool
) -> tuple[list[Row], list[AudioError]]:
    found: list[Row] = []
    errors = []
    with progress("songs") as advance:
        for number, song in enumerate(songs, start=1):
            try:
                found += _rows(models, song, hop=hop, calibrated=calibrated)
            except AudioError as error:
                errors.append(error)
            if len(songs) > 1:
                advance(number, len(songs))
    return found, errors


def _rows(
    models: dict[str, TrainedModel], song: Path, *, hop: float | None, calibrated: bool
) -> list[Row]:
    rows = [
        Row(song=song, model=name, prediction=trained.predict(song, hop=hop, calibrated=calibrated))
        for name, trained in models.items()
    ]
    if len(rows) > 1:
        mean = mean_of([row.prediction for row in rows])
        rows.append(Row(song=song, model=MEAN, prediction=mean))
    return rows


def _text(rows: Sequence[Row], *, timeline: bool, format: str) -> str:
    table = pd.concat([_frame(row, timeline=timeline) for row in rows], ignore_index=True)
    if len({row.model for row in rows}) == 1:
        table = table.drop(columns="model")
    if format == "json":
        return json.dumps(table.to_dict("records"), indent=1)
    if format == "csv":
        return to_csv(table).decode().rstrip("\n")
    rounded = table.copy()
    for name in QUADRANTS:
        rounded[name] = [f"{value:.1%}" for value in table[name]]
    return rounded.to_string(index=False, float_format=lambda value: f"{value:.2f}")


def _frame(row: Row, *, timeline: bool) -> pd.DataFrame:
    prediction = row.prediction
    table = prediction.timeline if timeline else pd.DataFrame([prediction.row])
    own = table.drop(columns="song", errors="ignore")
    own.insert(0, "song", prediction.song)
    own.insert(1, "model", row.model)
    return own


def _output_names(songs: Sequence[Path]) -> dict[Path, str]:
    """Return a name for the files of each song, with its folders where names occur twice."""
    counts = Counter(song.name for song in songs)
    whole = ("-".join(song.resolve().parts[1:]) for song in songs)
    return {
        song: song.name if counts[song.name] == 1 else name
        for song, name in zip(songs, whole, strict=True)
    }


def _write_jams(rows: Sequence[Row], names: Mapping[Path, str], *, folder: Path) -> None:
    from mer_mlflow.deployment.jams_format import to_jams

    by_song = {row.song: row for row in rows}  # the mean is the last row of a song
    files = {
        f"{names[song]}.jams": to_jams(row.prediction, model=row.model).encode()
        for song, row in by_song.items()
    }
    replace_files(folder, files, kind="predict", keep=True)
    for name in files:
        print(folder / name)


def main(arguments: Sequence[str]) -> int:
    """Run ``predict``."""
    found = list(pairs(PREDICT, arguments, bare=CLIP))
    given: dict[str, Any] = parse(PREDICT, [f"--{name}={text}" for name, text in found])
    clips = [text.strip() for name, text in found if name == CLIP and text.strip()]
    if not clips:
        raise ParameterError(f"{CLIP}: is required; `mer predict --help` lists the parameters")
    del given[CLIP]
    return predict(clips=clips, **given)
