"""Prediction of the emotion of songs, window by window.

A song that is longer than the excerpt of the model is divided into windows with a hop; the
probabilities of the song are the mean over its windows.

References
----------
J. A. Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39(6),
1980.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.crossval.metrics import HIGH_AROUSAL, POSITIVE_VALENCE
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.calibration import with_temperature
from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.representations import Examples, Input, representation_of
from mer_mlflow.representations.audio import MARGIN, Audio
from mer_mlflow.training import FittedModel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

AROUSAL, VALENCE = (np.where(side, 1.0, -1.0) for side in (HIGH_AROUSAL, POSITIVE_VALENCE))
"""Sign of each quadrant's arousal and valence, in the order of ``QUADRANTS``."""
WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, kw_only=True)
class EmotionPrediction:
    """Predicted emotion of a song.

    Attributes
    ----------
    song : file name, or ``"samples"``
    quadrant : predicted quadrant, ``"Q1"`` to ``"Q4"``
    probabilities : probability of each quadrant, mean over the windows
    timeline : one row per window with its ``start`` and ``end`` [s], ``quadrant``, the probability
        of each quadrant, ``arousal`` and ``valence``
    """

    song: str
    quadrant: str
    probabilities: Mapping[str, float]
    timeline: pd.DataFrame

    @property
    def arousal(self) -> float:
        """Probability of high arousal minus that of low arousal, -1 to 1."""
        return float(AROUSAL @ list(self.probabilities.values()))

    @property
    def valence(self) -> float:
        """Probability of positive valence minus that of negative valence, -1 to 1."""
        return float(VALENCE @ list(self.probabilities.values()))

    @property
    def row(self) -> dict[str, Any]:
        """The prediction of the whole song as one row of a table."""
        return {
            "song": self.song,
            "quadrant": self.quadrant,
            **self.probabilities,
            "arousal": self.arousal,
            "valence": self.valence,
            "seconds": float(self.timeline["end"].max()),
            "windows": len(self.timeline),
        }

    def plot(self) -> Figure:
        """Plot the path on Russell's plane and the probabilities over time, with matplotlib."""
        from mer_mlflow.deployment.figures import plot_prediction

        return plot_prediction(self.timeline, title=f"{self.song}: {self.quadrant}")

    def __str__(self) -> str:
        shares = ", ".join(f"{name} {value:.1%}" for name, value in self.probabilities.items())
        return (
            f"{self.song}: {self.quadrant} ({shares}; arousal {self.arousal:+.2f}, valence "
            f"{self.valence:+.2f})"
        )


def mean_of(predictions: Sequence[EmotionPrediction]) -> EmotionPrediction:
    """Return the mean of several models' predictions of a song.

    Parameters
    ----------
    predictions : one of each model; their windows may differ

    Returns
    -------
    that of a single model as it is; else the mean of the probabilities. Its timeline is the mean of
    the timelines where all have the same windows, else one row for the whole song
    """
    if len(predictions) == 1:
        return predictions[0]
    timelines = [each.timeline for each in predictions]
    first, probabilities = timelines[0], np.array([_shares(each) for each in predictions])
    rows = probabilities.mean(axis=0, keepdims=True)
    spans = pd.DataFrame({"start": [0.0], "end": [max(each["end"].max() for each in timelines)]})
    if all(first[["start", "end"]].equals(each[["start", "end"]]) for each in timelines):
        rows = np.mean([each[list(QUADRANTS)] for each in timelines], axis=0)
        spans = first[["start", "end"]]
    mean = probabilities.mean(axis=0)
    return EmotionPrediction(
        song=predictions[0].song,
        quadrant=QUADRANTS[int(mean.argmax())],
        probabilities=dict(zip(QUADRANTS, map(float, mean), strict=True)),
        timeline=_table(spans, rows, rows.argmax(axis=1)),
    )


def _shares(prediction: EmotionPrediction) -> list[float]:
    return list(prediction.probabilities.values())


def windows(seconds: float, *, length: float, hop: float) -> list[float]:
    """Return the start of each window of a song [s].

    Parameters
    ----------
    seconds : float > 0 [s], duration of the song
    length : float > 0 [s], duration of a window
    hop : float > 0 [s], time between the starts of windows

    Returns
    -------
    starts; the last window ends with the song, if more than a second of it would be left out

    Raises
    ------
    ParameterError
        If the hop is not a finite number > 0.

    Examples
    --------
    >>> windows(30.4, length=30.0, hop=10.0)
    [0.0]
    >>> windows(65.0, length=30.0, hop=15.0)
    [0.0, 15.0, 30.0, 35.0]
    """
    if not 0 < hop < np.inf:
        raise ParameterError(f"hop={hop:g}: must be a number of seconds > 0")
    last = max(0.0, seconds - length)
    starts = [float(i * hop) for i in range(int(last // hop) + 1)]
    if last - starts[-1] > MARGIN:
        starts.append(last)
    return starts


def predict_song(
    fitted: FittedModel,
    inputs: Sequence[Input],
    audio: Audio,
    *,
    song: str,
    hop: float | None = None,
    temperature: float = 1.0,
) -> EmotionPrediction:
    """Predict the emotion of a song.

    Parameters
    ----------
    fitted : the fitted model
    inputs : its inputs, all computed from audio
    audio : the decoded song
    song : its name
    hop : float > 0 [s], time between the starts of windows, by default half a window
    temperature : float > 0, calibrates the probabilities of each window

    Raises
    ------
    AudioError
        If the song is silent.
    ParameterError
        If the hop is not allowed.
    """
    if not np.any(audio.samples):
        raise AudioError(f"{song}: is silent; replace or remove the file")
    length = window_seconds(inputs)
    starts = windows(audio.seconds, length=length, hop=length / 2 if hop is None else hop)
    found = [
        _predict_windows(fitted, inputs, audio, starts[i : i + WINDOWS_AT_ONCE], length=length)
        for i in range(0, len(starts), WINDOWS_AT_ONCE)
    ]
    probabilities = with_temperature(np.concatenate([each[0] for each in found]), temperature)
    quadrants = np.concatenate([each[1] for each in found])
    mean = probabilities.mean(axis=0)
    chosen = int(quadrants[0] if len(quadrants) == 1 else mean.argmax())
    return EmotionPrediction(
        song=song,
        quadrant=QUADRANTS[chosen],
        probabilities=dict(zip(QUADRANTS, map(float, mean), strict=True)),
        timeline=_timeline(audio, starts, probabilities, quadrants, length=length),
    )


def window_seconds(inputs: Sequence[Input]) -> float:
    """Return the duration of the excerpt that all inputs depend on [s]."""
    needed = [item.required_seconds for item in map(representation_of, inputs) if item is not None]
    return max(needed)


def examples_of(
    inputs: Sequence[Input],
    excerpts: Iterable[Audio],
    *,
    on_computed: Callable[[], None] = lambda: None,
) -> Examples:
    """Compute the inputs of excerpts.

    Parameters
    ----------
    inputs : inputs of a model, all computed from audio
    excerpts : what each example is computed from
    on_computed : called after each excerpt
    """
    representations = [item for item in map(representation_of, inputs) if item is not None]
    rows = []
    for excerpt in excerpts:
        rows.append([item.compute(excerpt) for item in representations])
        on_computed()
    weights = {item.network: item.weights for item in inputs if item.network and item.weights}
    return Examples(
        inputs=tuple(np.stack(arrays) for arrays in zip(*rows, strict=True)),
        positions=np.arange(len(rows)),
        quadrants=None,
        weights=weights,
    )


def _predict_windows(
    fitted: FittedModel,
    inputs: Sequence[Input],
    audio: Audio,
    starts: Sequence[float],
    *,
    length: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    excerpts = (excerpt(audio, start, length) for start in starts)
    prediction = fitted.predict(examples_of(inputs, excerpts))
    return prediction.probabilities, prediction.quadrants


def excerpt(audio: Audio, start: float, length: float) -> Audio:
    """Cut a window as the beginning of a file is decoded: with a margin for the resampler."""
    first = round(start * audio.sr)
    samples = audio.samples[first : first + int(np.ceil((length + MARGIN) * audio.sr))]
    return Audio(samples=samples, sr=audio.sr, n_channels=audio.n_channels)


def _timeline(
    audio: Audio,
    starts: Sequence[float],
    probabilities: NDArray[np.float64],
    quadrants: NDArray[np.int64],
    *,
    length: float,
) -> pd.DataFrame:
    ends = [min(start + length, audio.seconds) for start in starts]
    return _table(pd.DataFrame({"start": list(starts), "end": ends}), probabilities, quadrants)


def _table(
    spans: pd.DataFrame, probabilities: NDArray[np.float64], quadrants: NDArray[np.int64]
) -> pd.DataFrame:
    names = [QUADRANTS[i] for i in quadrants]
    shares = dict(zip(QUADRANTS, probabilities.T, strict=True))
    table = spans.assign(quadrant=names, **shares)
    return table.assign(arousal=probabilities @ AROUSAL, valence=probabilities @ VALENCE)
