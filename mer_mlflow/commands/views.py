"""views: save the views of experiments of earlier versions, and print their addresses."""

from __future__ import annotations

import sys

import mlflow
from mlflow import MlflowClient

from mer_mlflow.access import experiment_page
from mer_mlflow.commands.command import run_command
from mer_mlflow.tracking import check_store, is_untouched, search
from mer_mlflow.tracking.kinds import Kind
from mer_mlflow.tracking.runs import DEFAULT
from mer_mlflow.tracking.views import keep_views


def views(address: str) -> int:
    """Save the views of each experiment with cross-validations, and print their addresses.

    Parameters
    ----------
    address : address of MLflow's web pages

    Returns
    -------
    exit code
    """
    found = [] if is_untouched(mlflow.get_tracking_uri()) else _experiments()
    for name, key in found:
        print(f"{name}: {experiment_page(address, key)}", flush=True)
    if not found:
        print(f"no cross-validations yet: {experiment_page(address, DEFAULT, view='')}", flush=True)
    return 0


def _experiments() -> list[tuple[str, str]]:
    check_store()
    client = MlflowClient()
    found = []
    for experiment in client.search_experiments():
        key = str(experiment.experiment_id)
        if next(search(client, key, kind=Kind.PARENT), None) is not None:
            keep_views(client, key)
            found.append((str(experiment.name), key))
    return found


if __name__ == "__main__":
    run_command(lambda: views(sys.argv[1]))
