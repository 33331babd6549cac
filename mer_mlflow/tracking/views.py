"""Views of an experiment that MLflow's pages open by an address: columns, order and filter.

MLflow saves a view in a tag of the experiment; its format is internal, and a test compares it with
the installed version. A view lists parents or searches only: runs of folds would hide them.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from mlflow import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE

from mer_mlflow.access import LEADERBOARD, SEARCHES
from mer_mlflow.crossval.metrics import OBJECTIVE
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.kinds import Kind, Status
from mer_mlflow.tracking.metric_names import parent_metric
from mer_mlflow.tracking.notes import experiment_note

TAG = "mlflow.sharedViewState."
"""Prefix of the tags in which MLflow saves views; the name of the view follows."""
COMPRESSED = "deflate;"
"""Beginning of a compressed view; base64 of a zlib stream follows."""
HIDDEN = (Status.SUPERSEDED, Status.DUPLICATE, Status.PRUNED)
"""Values of ``mer.status`` of parents that the leaderboard leaves out."""
RANKED = (
    "f1_macro_mean",
    "f1_macro_low",
    "f1_macro_high",
    "arousal_accuracy_mean",
    "valence_accuracy_mean",
    "fit_seconds_total",
)
"""Metrics of the leaderboard; the first one orders it."""
COUNTED = (f"best_{OBJECTIVE}", "n_trials", "folds_run", "folds_reused")
"""Metrics of the list of searches; the first one orders it."""


NAME, DATASET = "attributes.`Run Name`", "attributes.`Dataset`"
CREATED = "runDateAndNestInfo"
"""MLflow's names of columns that every list of runs has."""
NAME_WIDTH, METRIC_WIDTH = 300, 110
"""Widths of columns [px]."""


def keep_views(client: MlflowClient, experiment: str) -> None:
    """Save the views of an experiment, and a note if it has none.

    An existing note is kept, because a user may have added to it. Nothing is changed without
    permission.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    """
    with suppress(Exception):  # runs do not depend on views, and the next command tries again
        known = client.get_experiment(experiment).tags
        wanted = {f"{TAG}{name}": packed(state) for name, state in views().items()}
        if not known.get(MLFLOW_RUN_NOTE):
            wanted[MLFLOW_RUN_NOTE] = experiment_note(experiment)
        for key, value in wanted.items():
            if known.get(key) != value:
                client.set_experiment_tag(experiment, key, value)


def views() -> dict[str, dict[str, Any]]:
    """Return the state of each view as MLflow's pages represent it, by name."""
    parents = [
        _is(schema.KIND, Kind.PARENT),
        *(_is(schema.STATUS, status, "!=") for status in HIDDEN),
        f"tags.`{schema.TRIAL_ONLY}` IS NULL",
    ]
    return {
        LEADERBOARD: _view(parents, [_column("metrics", parent_metric(name)) for name in RANKED]),
        SEARCHES: _view(
            [_is(schema.KIND, Kind.SEARCH)], [_column("metrics", name) for name in COUNTED]
        ),
    }


def packed(state: dict[str, Any]) -> str:
    """Return a view as MLflow saves it in a tag."""
    content = zlib.compress(json.dumps(state).encode(), level=9)
    return COMPRESSED + base64.b64encode(content).decode()


def _view(conditions: Iterable[str], metrics: list[str]) -> dict[str, Any]:
    """Return a view with the highest values of the first metric first."""
    return {
        "searchFilter": " and ".join(conditions),
        "orderByKey": metrics[0],
        "orderByAsc": False,
        "selectedColumns": [*metrics, DATASET],
        "columnOrder": [NAME, CREATED, *metrics, DATASET],
        "columnWidths": {NAME: NAME_WIDTH, **dict.fromkeys(metrics, METRIC_WIDTH)},
    }


def _is(tag: str, value: str, comparison: str = "=") -> str:
    return f"tags.`{tag}` {comparison} '{value}'"


def _column(group: str, name: str) -> str:
    return f"{group}.`{name}`"
