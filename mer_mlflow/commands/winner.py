"""The best setting of a search, for commands that train with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mer_mlflow.experiments import Experiment, winner_study


def find_winner(experiment: Experiment, *, dataset: str) -> Mapping[str, Any] | None:
    """Return ``best.json`` of the search whose best setting is requested, None for none."""
    from mer_mlflow.tracking import check_store

    check_store()
    study = winner_study(experiment)
    if study is None:
        return None
    from mlflow import MlflowClient

    from mer_mlflow.tracking import current_experiment
    from mer_mlflow.tuning.record import find_best

    client = MlflowClient()
    best = find_best(
        client,
        current_experiment(client),
        method=experiment.method,
        dataset=dataset,
        study=study or None,
    )
    print(f"hyperparameters: the best of study {best['study']}")
    return best


def tuning_tags(experiment: Experiment, winner: Mapping[str, Any] | None) -> dict[str, str]:
    """Return tags about the choice of hyperparameters, none if they were not tuned."""
    from mer_mlflow.tracking import schema

    tags = {schema.TUNED_BY: winner["study"], schema.SELECTION: "not nested"} if winner else {}
    return tags | ({schema.SELECTION: "nested"} if experiment.nested else {})
