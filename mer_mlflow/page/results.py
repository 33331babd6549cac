"""HTML of the page's results: the emotion of a song according to models, and messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.deployment.prediction import EmotionPrediction, mean_of
from mer_mlflow.page.drawing import draw_bars, draw_plane, draw_timeline, legend, peaks
from mer_mlflow.page.models import PageModel, predict_all
from mer_mlflow.page.out_of_fold import Comparison, nearest
from mer_mlflow.page.served import ServedClips
from mer_mlflow.reporting.descriptions import ClipDescriptions, label
from mer_mlflow.representations.audio import decode


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What models predicted for a song.

    Attributes
    ----------
    song : audio file
    models : addresses of the models
    quadrant : predicted quadrant; of several models, that of the mean probabilities
    html : the results
    """

    song: Path
    models: tuple[str, ...]
    quadrant: str
    html: str


def answer(
    models: Sequence[PageModel], song: Path, *, descriptions: ClipDescriptions, served: ServedClips
) -> Answer:
    """Predict the emotion of a song with models, and describe the result in HTML.

    Parameters
    ----------
    models : one model or several
    song : audio file
    descriptions : descriptions of training clips
    served : serves their audio

    Raises
    ------
    AudioError
        If the song cannot be decoded, is silent or too short.
    """
    predictions = predict_all(models, song)
    envelope = peaks(decode(song))
    mean = mean_of(predictions)
    cards = "".join(
        _card(model, prediction, envelope, descriptions=descriptions, served=served)
        for model, prediction in zip(models, predictions, strict=True)
    )
    alone = " mer-alone" if len(models) == 1 else ""
    shown = "" if len(models) == 1 else _mean(mean.probabilities, len(models))
    return Answer(
        song=song,
        models=tuple(model.address for model in models),
        quadrant=mean.quadrant,
        html=(
            f'<p class="mer-summary"><b>{mean.quadrant}</b> – {escape(song.name)}</p>'
            f"{shown}{legend()}"
            f'<div class="mer-models{alone}">{cards}</div>'
        ),
    )


def failed(error: Exception) -> str:
    """Return a message about an error."""
    return f'<p class="mer-error" role="alert">{escape(str(error))}</p>'


def done(message: str) -> str:
    """Return a message about something that was done."""
    return f'<p class="mer-done" role="status">{escape(message)}</p>'


def compared(comparison: Comparison, *, n_methods: int) -> str:
    """Return the scores of a cross-validation with and without label suspects."""
    of = "1 methodology" if n_methods == 1 else f"{n_methods} methodologies"
    if comparison.n_left_out == 0:
        return (
            f'<p class="mer-summary">macro F1 {comparison.everything:.2%}, no label suspects</p>'
            f'<p class="mer-quiet">Confident learning over the out-of-fold probabilities of {of}.'
            "</p>"
        )
    return (
        f'<p class="mer-summary">macro F1 <b>{comparison.everything:.2%}</b>, without '
        f"{_counted(comparison.n_left_out, 'label suspect')} of {comparison.n_clips} clips "
        f"<b>{comparison.without:.2%}</b></p>"
        f'<p class="mer-quiet">Suspects: confident learning over the mean out-of-fold '
        f"probabilities of {of}. They are chosen by predictions, so that leaving them out raises "
        "the score also where all labels are right: listen before you relabel.</p>"
    )


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _card(
    model: PageModel,
    prediction: EmotionPrediction,
    envelope: NDArray[np.float64],
    *,
    descriptions: ClipDescriptions,
    served: ServedClips,
) -> str:
    known, near = model.known, pd.DataFrame()
    if not known.empty:
        near = nearest(known, list(prediction.probabilities.values()))
    names = {
        str(clip): label(str(clip), descriptions.describe(model.validation, str(clip)))
        for clip in near.index
    }
    return (
        f'<section class="mer-model"><h3>{escape(model.address)}: {prediction.quadrant}</h3>'
        f'<p class="mer-quiet">{escape(str(model.trained))}. {_moods(prediction)}</p>'
        f'<div class="mer-wide"><div>{draw_timeline(prediction.timeline, envelope)}'
        f"{draw_bars(prediction.probabilities)}"
        f"{_neighbours(model, near, names, descriptions, served)}"
        f"</div><div>{draw_plane(prediction.timeline, known, names)}</div></div></section>"
    )


def _moods(prediction: EmotionPrediction) -> str:
    return f"Arousal {prediction.arousal:+.2f}, valence {prediction.valence:+.2f}."


def _mean(mean: Mapping[str, float], n_models: int) -> str:
    return f'<p class="mer-quiet">Mean of {n_models} models:</p>{draw_bars(mean)}'


def _neighbours(
    model: PageModel,
    near: pd.DataFrame,
    names: dict[str, str],
    descriptions: ClipDescriptions,
    served: ServedClips,
) -> str:
    if near.empty:
        return ""
    items = []
    for clip, row in near.iterrows():
        audio = descriptions.describe(model.validation, str(clip)).audio
        player = "" if audio is None else _player(served.address(audio))
        text = f"{escape(names[str(clip)])}: labelled {row['quadrant']}"
        items.append(f"<li>{text} (distance {row['distance']:.2f}){player}</li>")
    return (
        '<p class="mer-quiet">Training clips with the most similar out-of-fold probabilities:</p>'
        f'<ul class="mer-clips">{"".join(items)}</ul>'
    )


def _player(address: str) -> str:
    return f'<audio controls preload="none" src="{escape(address)}"></audio>'
