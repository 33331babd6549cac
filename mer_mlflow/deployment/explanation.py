"""Explanation of a prediction: which seconds, frequency bands and groups of features carry it.

The window of the song in which the quadrant has the highest probability is explained. Seconds and
bands are explained by occlusion of its samples, which every methodology on audio accepts: the drop
is the probability of the quadrant minus that of a copy with the stretch or band occluded. Each copy
goes through all representations, like a song: an excerpt of 30 s takes ``30 / seconds + bands``
copies, and ``30 / seconds * bands`` more with a map. Groups of handcrafted features have Shapley
values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count, product
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.calibration import with_temperature
from mer_mlflow.deployment.feature_groups import NEEDS_SHAP, group_values, handcrafted_input
from mer_mlflow.deployment.occlusion import Interval, Occlusion, frequency_bands, stretches
from mer_mlflow.deployment.prediction import (
    WINDOWS_AT_ONCE,
    examples_of,
    excerpt,
    predict_song,
    window_seconds,
)
from mer_mlflow.errors import ParameterError
from mer_mlflow.packages import require_package
from mer_mlflow.representations import Examples, Input
from mer_mlflow.representations.audio import Audio
from mer_mlflow.training import FittedModel

SECONDS, BANDS = 2.5, 8
"""Default length of a stretch [s], default number of bands."""
PredictOne = Callable[[Examples], NDArray[np.float64]]
"""Function from examples to the probability of the explained quadrant [shape=(n_examples,)]."""
NEGLIGIBLE = 0.0005
"""Drops below this are not named in a text."""


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """Explanation of the probability of a quadrant.

    Attributes
    ----------
    song : file name, or ``"samples"``
    quadrant : explained quadrant, ``"Q1"`` to ``"Q4"``
    probability : its probability in the explained window
    start, end : the window [s]
    seconds : one row per stretch with ``start`` and ``end`` [s] in the song, and the ``drop`` of
        the probability without it
    bands : one row per frequency band with its edges ``low`` and ``high`` [Hz] and ``drop``
    map : one row per stretch and band with all these columns; None if it was not requested
    groups : one row per group of handcrafted features with ``group`` and its Shapley ``value``; the
        values sum to ``probability - base``. None if the model has no such input
    base : mean probability of the background of training clips, None without groups
    audio : samples of the window
    """

    song: str
    quadrant: str
    probability: float
    start: float
    end: float
    seconds: pd.DataFrame
    bands: pd.DataFrame
    map: pd.DataFrame | None
    groups: pd.DataFrame | None
    base: float | None
    audio: Audio = field(repr=False)

    def plot(self) -> Any:
        """Plot the explanation over waveform and mel spectrogram.

        Returns
        -------
        figure of matplotlib
        """
        from mer_mlflow.deployment.explanation_figure import explanation_figure

        return explanation_figure(self)

    def __str__(self) -> str:
        seconds = _largest(self.seconds, "drop", lambda row: f"{row.start:.1f}–{row.end:.1f} s")
        bands = _largest(self.bands, "drop", lambda row: f"{row.low:.0f}–{row.high:.0f} Hz")
        lines = [
            f"{self.song}: {self.quadrant} {self.probability:.1%} in {self.start:.1f}–"
            f"{self.end:.1f} s; most is lost without {seconds}",
            f"{self.song}: most is lost without {bands}",
        ]
        if self.groups is not None:
            values = _largest(self.groups, "value", lambda row: str(row.group), most=3, sign=1)
            lines[1] += f"; features, from {self.base:.1%}: {values}"
        return "\n".join(lines)


def _largest(
    table: pd.DataFrame, column: str, name: Callable[[Any], str], *, most: int = 2, sign: int = -1
) -> str:
    """Name the rows with the largest positive values, and the values in percentage points."""
    chosen = table.nlargest(most, column)
    rows = [row for row in chosen.itertuples() if getattr(row, column) >= NEGLIGIBLE]
    shown = [f"{name(row)} ({100 * sign * getattr(row, column):+.1f} points)" for row in rows]
    return ", ".join(shown) or "none of them alone"


def explain_song(
    fitted: FittedModel,
    inputs: Sequence[Input],
    audio: Audio,
    *,
    song: str,
    background: NDArray[np.floating] | None = None,
    quadrant: str | None = None,
    seconds: float = SECONDS,
    bands: int = BANDS,
    with_map: bool = False,
    hop: float | None = None,
    temperature: float = 1.0,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Explanation:
    """Explain the prediction of a song.

    Parameters
    ----------
    fitted : the fitted model
    inputs : its inputs, all computed from audio
    audio : the decoded song
    song : its name
    background : handcrafted features of training clips [shape=(n_clips, n_features)]; without them
        groups of features are not explained
    quadrant : explained quadrant, by default the predicted one
    seconds : float > 0 [s], approximate length of a stretch
    bands : int > 0, number of frequency bands
    with_map : whether to attenuate each band in each stretch too
    hop : float > 0 [s], time between the starts of windows, by default half a window
    temperature : float > 0, calibrates the probabilities
    on_progress : called with (done, total) after each copy of the window

    Raises
    ------
    AudioError
        If the song is silent.
    ParameterError
        If a parameter is not allowed, or a package that is needed is not installed.
    """
    if quadrant is not None and quadrant not in QUADRANTS:
        raise ParameterError(f"quadrant={quadrant}: must be one of {', '.join(QUADRANTS)}")
    length = window_seconds(inputs)
    stretches(length, step=seconds)  # before the song is predicted
    bands_hz = frequency_bands(bands, sr=audio.sr)
    if background is not None:
        require_package("shap", needed_by=NEEDS_SHAP)
    predicted = predict_song(fitted, inputs, audio, song=song, hop=hop, temperature=temperature)
    quadrant = quadrant or predicted.quadrant
    start, end = _decisive_window(predicted.timeline, quadrant)
    window = excerpt(audio, start, length)
    label = QUADRANTS.index(quadrant)

    def predict(examples: Examples) -> NDArray[np.float64]:
        return with_temperature(fitted.predict(examples).probabilities, temperature)[:, label]

    whole = examples_of(inputs, [window])
    probability = float(predict(whole)[0])
    stretches_s = stretches(end - start, step=seconds)
    occluded = _occluded(window, stretches_s, bands_hz, with_map=with_map)
    drops = probability - _probabilities(predict, inputs, occluded, on_progress=on_progress)
    by_second, by_band, by_both = np.split(
        drops, [len(stretches_s), len(stretches_s) + len(bands_hz)]
    )
    in_song = [(start + first, start + last) for first, last in stretches_s]
    groups, base = None, None
    if background is not None:
        groups, base = _groups(predict, inputs, whole, background)
    return Explanation(
        song=song,
        quadrant=quadrant,
        probability=probability,
        start=start,
        end=end,
        seconds=_table(in_song, ("start", "end"), by_second),
        bands=_table(bands_hz, ("low", "high"), by_band),
        map=_map(in_song, bands_hz, by_both) if with_map else None,
        groups=groups,
        base=base,
        audio=window,
    )


def _decisive_window(timeline: pd.DataFrame, quadrant: str) -> Interval:
    starts, ends, probabilities = timeline[["start", "end", quadrant]].to_numpy(np.float64).T
    highest = int(probabilities.argmax())
    return float(starts[highest]), float(ends[highest])


def _occluded(
    window: Audio, stretches_s: list[Interval], bands_hz: list[Interval], *, with_map: bool
) -> list[Callable[[], Audio]]:
    """Return functions that make the copies, because all of them need much memory."""
    occlusion = Occlusion(audio=window, duration=stretches_s[-1][1])
    pairs = product(stretches_s, bands_hz) if with_map else ()
    return [
        *(partial(occlusion.without_stretch, stretch) for stretch in stretches_s),
        *(partial(occlusion.without_band, band) for band in bands_hz),
        *(partial(occlusion.without_band, band, within=stretch) for stretch, band in pairs),
    ]


def _probabilities(
    predict: PredictOne,
    inputs: Sequence[Input],
    copies: Sequence[Callable[[], Audio]],
    *,
    on_progress: Callable[[int, int], None],
) -> NDArray[np.float64]:
    """Predict the probability of a quadrant in each copy, in batches [shape=(n_copies,)]."""
    numbers = count(1)
    found = []
    for first in range(0, len(copies), WINDOWS_AT_ONCE):
        examples = examples_of(
            inputs,
            (make() for make in copies[first : first + WINDOWS_AT_ONCE]),
            on_computed=lambda: on_progress(next(numbers), len(copies)),
        )
        found.append(predict(examples))
    return np.concatenate(found)


def _groups(
    predict: PredictOne,
    inputs: Sequence[Input],
    whole: Examples,
    background: NDArray[np.floating],
) -> tuple[pd.DataFrame, float] | tuple[None, None]:
    """Explain the handcrafted features; other inputs of the model stay those of the window."""
    which = handcrafted_input(inputs)
    if which is None:
        return None, None
    own = [whole.read(i) for i in range(len(inputs))]

    def predict_features(features: NDArray[np.floating]) -> NDArray[np.float64]:
        n_rows = len(features)
        arrays = [np.repeat(array, n_rows, axis=0) for array in own]
        arrays[which] = features
        rows = replace(whole, inputs=tuple(arrays), positions=np.arange(n_rows))
        return predict(rows)

    return group_values(predict_features, own[which][0], background)


def _table(
    intervals: Sequence[Interval], names: tuple[str, str], drops: NDArray[np.float64]
) -> pd.DataFrame:
    return pd.DataFrame(intervals, columns=list(names)).assign(drop=drops)


def _map(
    stretches_s: Sequence[Interval], bands_hz: Sequence[Interval], drops: NDArray[np.float64]
) -> pd.DataFrame:
    rows = [(*stretch, *band) for stretch, band in product(stretches_s, bands_hz)]
    return pd.DataFrame(rows, columns=["start", "end", "low", "high"]).assign(drop=drops)
