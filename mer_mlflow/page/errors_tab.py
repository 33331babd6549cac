"""The tab "Errors": hardest clips and label suspects of a cross-validation, and new labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd
from mlflow import MlflowClient

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.errors import MerError, ParameterError, RunDataError
from mer_mlflow.page.errors_table import COLUMNS, HARDEST, ORDERS, errors_table
from mer_mlflow.page.heard import Heard, add_clip
from mer_mlflow.page.out_of_fold import compare_without, same_clips, suspects
from mer_mlflow.page.results import compared, done, failed
from mer_mlflow.page.served import ServedClips
from mer_mlflow.reporting.descriptions import ClipDescriptions
from mer_mlflow.reporting.validations import Validation, dataset_title, read_validations

NO_RUN = "No complete cross-validation in this experiment; `mer train` makes one."
NO_AUDIO = "{clip}: its audio is not at hand; start the page with its data_root and dataset"


@dataclass(frozen=True, kw_only=True)
class Picked:
    """A clip that was selected in the table.

    Attributes
    ----------
    clip, predicted : its id and predicted quadrant
    run_id : the cross-validation
    audio : its audio file, None if it is not at hand
    """

    clip: str
    predicted: str
    run_id: str
    audio: Path | None


@dataclass(frozen=True, kw_only=True)
class Errors:
    """Errors of cross-validations for the tab.

    Attributes
    ----------
    client : client of the tracking server
    experiments : ids of the experiments
    descriptions : descriptions of clips
    served : serves their audio
    heard : CSV of new labels
    """

    client: MlflowClient
    experiments: Sequence[str]
    descriptions: ClipDescriptions
    served: ServedClips
    heard: Path

    def complete(self) -> list[Validation]:
        """Return the complete cross-validations, newest first."""
        found = read_validations(self.client, self.experiments).complete
        return sorted(found, key=lambda item: item.started, reverse=True)

    def runs(self) -> list[tuple[str, str]]:
        """Return title and id of each complete cross-validation, newest first."""
        return [(_title(item), item.run_id) for item in self.complete()]

    def choices(self) -> Any:
        """Return an update of the list of cross-validations, of which the newest is selected."""
        try:
            found = self.runs()
        except MerError:  # show has the message
            found = []
        return gr.Dropdown(choices=found, value=found[0][1] if found else None)

    def show(self, run_id: str | None, order: str) -> tuple[str, pd.DataFrame]:
        """Return the scores with and without suspects in HTML, and the table of clips."""
        nothing = pd.DataFrame(columns=list(COLUMNS))
        try:
            everything = self.complete()
            if run_id is None:
                return f'<p class="mer-quiet">{NO_RUN}</p>', nothing
            chosen = _find(everything, run_id)
        except MerError as error:
            return failed(error), nothing
        same = same_clips(chosen, everything)
        found = suspects(same)
        table = errors_table(chosen, found, self.descriptions, order=order)
        n_methods = len({item.method for item in same})
        return compared(compare_without(chosen, found), n_methods=n_methods), table

    def pick(self, run_id: str, row: Sequence[Any]) -> Picked:
        """Return the clip of a row of the table."""
        values = dict(zip(COLUMNS, row, strict=True))
        clip = str(values["clip"])
        described = self.descriptions.describe(_find(self.complete(), run_id), clip)
        return Picked(
            clip=clip,
            predicted=str(values["predicted"]),
            run_id=run_id,
            audio=described.audio,
        )

    def relabel(self, quadrant: str, picked: Picked | None) -> str:
        """Add a new label of a clip to the CSV, and return a message in HTML."""
        if picked is None:
            return failed(ParameterError("Select a clip in the table first."))
        if picked.audio is None:
            return failed(ParameterError(NO_AUDIO.format(clip=picked.clip)))
        heard = Heard(
            quadrant=quadrant,
            time=datetime.now().astimezone(),
            model=f"run {picked.run_id}",
            predicted=picked.predicted,
        )
        try:
            add_clip(self.heard, picked.audio, heard)
        except MerError as error:
            return failed(error)
        return done(
            f"{picked.clip} is {quadrant} in {self.heard}; the dataset itself is unchanged."
        )


def build_errors_tab(errors: Errors, blocks: Any) -> None:
    """Build the tab within a page; its cross-validations are read when a browser loads the page."""
    with gr.Row():
        runs = gr.Dropdown(
            errors.runs(), label="Cross-validation", interactive=True, scale=3, min_width=300
        )
        order = gr.Radio(list(ORDERS), value=HARDEST, label="Order", scale=2, min_width=300)
    scores = gr.HTML()
    table = gr.Dataframe(
        headers=list(COLUMNS),
        interactive=False,
        show_label=False,
        buttons=[],
        max_height=420,
    )
    picked = gr.State()
    audio = gr.Audio(
        label="Select a clip in the table to hear it",
        interactive=False,
        type="filepath",
        buttons=[],
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
    )
    with gr.Row():
        buttons = {name: gr.Button(f"I hear {name}", min_width=120) for name in QUADRANTS}
    message = gr.HTML()

    def pick(event: gr.SelectData, run_id: str) -> tuple[Picked, Any, str]:
        found = errors.pick(run_id, event.row_value)
        copy = None if found.audio is None else str(errors.served.copy(found.audio))
        missing = failed(ParameterError(NO_AUDIO.format(clip=found.clip)))
        return found, gr.Audio(value=copy, label=found.clip), missing if copy is None else ""

    gr.on([runs.input, order.input], errors.show, [runs, order], [scores, table], api_name="errors")
    table.select(pick, runs, [picked, audio, message], api_visibility="private")
    for quadrant, button in buttons.items():
        button.click(partial(errors.relabel, quadrant), picked, message, api_visibility="private")
    blocks.load(errors.choices, None, runs, api_visibility="private").then(
        errors.show, [runs, order], [scores, table], api_visibility="private"
    )


def _find(validations: Sequence[Validation], run_id: str) -> Validation:
    found = next((item for item in validations if item.run_id == run_id), None)
    if found is None:
        raise RunDataError(f"run {run_id} is not there any more; load the page again")
    return found


def _title(item: Validation) -> str:
    started = datetime.fromtimestamp(item.started, tz=UTC).strftime("%Y-%m-%d %H:%M")
    return f"{item.title}, {dataset_title(item.dataset)}, {item.protocol}, {started} UTC"
