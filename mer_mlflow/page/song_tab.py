"""The tab "Song": the emotion of an uploaded or recorded song, and what the listener heard."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
from matplotlib.figure import Figure

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.errors import MerError
from mer_mlflow.page.heard import Heard, add_song
from mer_mlflow.page.models import PageModel
from mer_mlflow.page.results import Answer, answer, done, failed
from mer_mlflow.page.served import ServedClips
from mer_mlflow.reporting.descriptions import ClipDescriptions

NO_PROGRESS = gr.Progress()
"""Default argument by which Gradio passes the progress of a call."""


@dataclass(frozen=True, kw_only=True)
class Song:
    """Predictions of songs for the tab.

    Attributes
    ----------
    models : the models
    descriptions : descriptions of training clips
    served : serves their audio
    heard : CSV of what listeners heard
    """

    models: Sequence[PageModel]
    descriptions: ClipDescriptions
    served: ServedClips
    heard: Path

    def predict(self, path: str | None, chosen: Sequence[str]) -> tuple[str, Answer | None]:
        """Return the results for a song in HTML; a song that cannot be used gives one line."""
        models = [model for model in self.models if model.address in chosen]
        if path is None or not models:
            return "", None
        try:
            found = answer(models, Path(path), descriptions=self.descriptions, served=self.served)
        except MerError as error:
            return failed(error), None
        return found.html, found

    def record(self, quadrant: str, found: Answer | None) -> str:
        """Add what the listener heard to the CSV, and return a message in HTML."""
        if found is None:
            return ""
        heard = Heard(
            quadrant=quadrant,
            time=datetime.now().astimezone(),
            model="; ".join(found.models),
            predicted=found.quadrant,
        )
        try:
            copy = add_song(self.heard, found.song, heard)
        except MerError as error:
            return failed(error)
        return done(f"{quadrant} is added to {self.heard}, with a copy of the song ({copy.name}).")

    def explain(
        self, found: Answer | None, progress: gr.Progress = NO_PROGRESS
    ) -> tuple[Figure | None, str]:
        """Return the explanation of the first model's prediction as a figure, and a message."""
        if found is None:
            return None, ""
        model = next(each for each in self.models if each.address == found.models[0])
        try:
            explained = model.trained.explain(
                found.song, on_progress=lambda done, total: progress((done, total))
            )
        except MerError as error:
            return None, failed(error)
        return explained.plot(), ""


def build_song_tab(song: Song) -> None:
    """Build the tab within the current page."""
    addresses = [model.address for model in song.models]
    chosen = gr.CheckboxGroup(
        addresses, value=addresses, label="Models", visible=len(addresses) > 1
    )
    audio = gr.Audio(
        sources=["upload", "microphone"],
        type="filepath",
        label="Song",
        elem_id="mer-song",
        editable=False,
        buttons=[],
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
    )
    with gr.Column(visible=False) as answers:
        buttons = _buttons()
        message = gr.HTML()
    result, state = gr.HTML(), gr.State()
    with gr.Column(visible=False) as explanation:
        explain = gr.Button("Explain: which seconds, bands and features carry the prediction")
        figure, trouble = gr.Plot(label="Explanation", visible=False), gr.HTML()
    gr.on(
        [audio.change, chosen.change],
        song.predict,
        [audio, chosen],
        [result, state],
        api_name="predict",
    ).then(
        _visible, state, [answers, message, explanation, figure, trouble], api_visibility="private"
    )
    for quadrant, button in buttons.items():
        button.click(partial(song.record, quadrant), state, message, api_visibility="private")
    explain.click(_shown, None, figure, api_visibility="private").then(
        song.explain, state, [figure, trouble], api_name="explain"
    )


def _buttons() -> dict[str, Any]:
    with gr.Row():
        return {name: gr.Button(f"I hear {name}", min_width=120) for name in QUADRANTS}


def _visible(found: Answer | None) -> tuple[Any, ...]:
    """Show what belongs to a result, without the explanation of the last one."""
    is_there = found is not None
    return gr.Column(visible=is_there), "", gr.Column(visible=is_there), _hidden(), ""


def _shown() -> Any:
    return gr.Plot(visible=True)


def _hidden() -> Any:
    return gr.Plot(value=None, visible=False)
