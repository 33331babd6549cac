"""page: web page that predicts the emotion of songs, and shows the errors of cross-validations."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mer_mlflow.commands.announcement import announced_clips
from mer_mlflow.commands.command import OK
from mer_mlflow.commands.parameters import PAGE
from mer_mlflow.datasets import data_root_or_default, dataset_names, get_dataset
from mer_mlflow.deployment.trained import TrainedModel
from mer_mlflow.experiments.text import parse, split_names
from mer_mlflow.packages import require_package
from mer_mlflow.paths import given_path


def page(
    *,
    models: str | None = None,
    dataset: str | None = None,
    data_root: str | None = None,
    experiment: str | None = None,
    host: str = "127.0.0.1",
    port: int = 7860,
    heard: str = "heard.csv",
) -> int:
    """Serve the page until the process is interrupted.

    Parameters
    ----------
    models : comma-separated addresses of models, see :func:`mer_mlflow.load_model`; by default the
        registered candidate that was updated last, else a model of the demo
    dataset, data_root : clips to name and to play; by default those of the first model, if they
        are at hand
    experiment : name of the experiment of the cross-validations, by default MLflow's default
    host, port : address of the page; port 0 stands for a free one
    heard : CSV of what listeners heard

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If Gradio is missing, or a parameter, model or dataset cannot be used.
    """
    require_package("gradio", needed_by="page")
    from mlflow import MlflowClient

    from mer_mlflow.page.heard import check_table
    from mer_mlflow.page.models import default_models, load_models
    from mer_mlflow.page.server import bind, serve
    from mer_mlflow.reporting.descriptions import ClipDescriptions, describe_clips
    from mer_mlflow.tracking import check_store, experiment_id

    table = given_path(heard, name="heard")
    check_table(table)
    check_store()
    client = MlflowClient()
    experiments = [experiment_id(client, experiment, create=False)]
    with bind(host, port) as listening:
        loaded = load_models(
            client,
            split_names(models) or default_models(client),
            on_warning=lambda text: print(f"warning: {text}", flush=True),
        )
        name = dataset or _own_dataset(loaded[0].trained, data_root)
        described = (
            describe_clips(announced_clips(name, data_root)[0]) if name else ClipDescriptions()
        )

        def make_app(folder: Path) -> Any:
            from mer_mlflow.page.app import build_app
            from mer_mlflow.page.errors_tab import Errors
            from mer_mlflow.page.served import ServedClips
            from mer_mlflow.page.song_tab import Song

            served = ServedClips(folder=folder)
            return build_app(
                Song(models=loaded, descriptions=described, served=served, heard=table),
                Errors(
                    client=client,
                    experiments=experiments,
                    descriptions=described,
                    served=served,
                    heard=table,
                ),
            )

        serve(make_app, listening)
    return OK


def _own_dataset(trained: TrainedModel, data_root: str | None) -> str | None:
    """Return the dataset that a model was fitted to, None if its clips are not at hand."""
    name = str(trained.facts["dataset"]["name"])
    if name not in dataset_names():
        return None
    needs_root = get_dataset(name).needs_root
    return name if data_root_or_default(data_root) is not None or not needs_root else None


def main(arguments: Sequence[str]) -> int:
    """Run ``page``."""
    return page(**parse(PAGE, arguments))
