"""Results of a study in an experiment: finished runs, best settings, times."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from statistics import mean
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.errors import RunDataError
from mer_mlflow.studies.estimates import Cost, measured_cost
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import Kind, Status, schema, search
from mer_mlflow.tracking.environment import with_current_names
from mer_mlflow.tracking.reading import (
    MOST_FOLDS,
    fold_metrics,
    parent_metrics,
    parent_params,
    text,
    whole,
)
from mer_mlflow.training import Method

F1 = "f1_macro_mean"
FINISHED = "FINISHED"
MOST_RECENT = 100
"""Number of the latest runs of a methodology, and of its folds, that are read for its cost."""


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Finished runs of an experiment.

    Attributes
    ----------
    trained : complete cross-validations by identity and number of folds, without trials of
        searches, unless their setting was also trained outside of the search
    searched : finished searches with a best setting, by the name of their Optuna study
    costs : cost of each methodology in its latest finished folds, on this machine if there are any
    """

    trained: Mapping[tuple[str, int], Run] = field(default_factory=dict)
    searched: Mapping[str, Run] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)

    def training(self, setting: Setting) -> Run | None:
        """Return the complete run of a setting, None if there is none."""
        return self.trained.get((setting.identity, len(setting.plan.splits)))


def collect(
    client: MlflowClient,
    experiment: str,
    methods: Mapping[str, Method],
    *,
    on_warning: Callable[[str], object] = lambda message: None,
) -> Evidence:
    """Read the finished runs of an experiment; runs with damaged tags are ignored.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    methods : methodologies of the study, by name
    on_warning : called with a sentence about each ignored run
    """
    from mer_mlflow.tuning.record import has_winner

    costs: dict[str, Cost] = {}
    trained: dict[tuple[str, int], Run] = {}
    searched: dict[str, Run] = {}
    measured: dict[str, list[Run]] = {}
    parents = search(client, experiment, kind=Kind.PARENT, status=Status.COMPLETE)
    for run in sorted(parents, key=lambda run: int(run.info.start_time or 0)):
        tags = run.data.tags
        try:
            name, identity = text(tags, schema.METHOD), text(tags, schema.IDENTITY)
            n_folds = whole(tags, schema.FOLDS_EXPECTED, low=1, high=MOST_FOLDS)
        except RunDataError as error:
            on_warning(_unused(run, error))
            continue
        if schema.TRIAL not in tags or schema.TRAINED in tags:
            trained[identity, n_folds] = run
        if name in methods and _has_own_cost(run, methods[name]):
            measured.setdefault(name, []).append(run)
    for run in search(client, experiment, kind=Kind.SEARCH, status=Status.COMPLETE):
        try:
            searched |= {text(run.data.tags, schema.STUDY): run} if has_winner(run) else {}
        except RunDataError as error:
            on_warning(_unused(run, error))
    for name, method in methods.items():
        cost = _cost(client, experiment, method, measured.get(name, [])[::-1])
        costs |= {name: cost} if cost is not None else {}
    return Evidence(trained=trained, searched=searched, costs=costs)


def latest_cost(client: MlflowClient, experiment: str, method: Method) -> Cost | None:
    """Return the cost of a methodology in its latest finished folds of an experiment.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    method : the methodology

    Returns
    -------
    the cost; None if there are no such folds, or their cost is unknown
    """
    latest_first = search(
        client, experiment, kind=Kind.PARENT, status=Status.COMPLETE, method=method.name
    )
    runs = [run for run in islice(latest_first, MOST_RECENT) if _has_own_cost(run, method)]
    return _cost(client, experiment, method, runs)


def _cost(
    client: MlflowClient, experiment: str, method: Method, complete: Sequence[Run]
) -> Cost | None:
    """Return a methodology's cost: in complete runs on this machine, in folds of incomplete runs on
    this machine, in complete runs elsewhere."""
    near, far = ([run for run in complete if _is_near(run) == here] for here in (True, False))
    found = next(filter(None, (_cost_of_run(method, run) for run in near)), None)
    found = found or _cost_of_folds(client, experiment, method)
    return found or next(filter(None, (_cost_of_run(method, run) for run in far)), None)


def _has_own_cost(run: Run, method: Method) -> bool:
    """Return whether the seconds of a run are those of its fits alone: trials may share work."""
    return not (method.shares_work and schema.TRIAL in run.data.tags)


def _is_near(run: Run) -> bool:
    """Return whether a run was executed on this machine."""
    host = with_current_names(run.data.tags).get(schema.HOST)
    return host == socket.gethostname() and schema.IMPORTED_FROM not in run.data.tags


def _cost_of_run(method: Method, run: Run) -> Cost | None:
    metrics = parent_metrics(run.data.metrics)
    n_done, total = metrics.get(schema.FOLDS_DONE), metrics.get("fit_seconds_total")
    if not n_done or total is None:
        return None
    return measured_cost(
        method,
        parent_params(run.data.params),
        fit_seconds=total / n_done,
        n_epochs=metrics.get("n_epochs_mean"),
        source="an earlier run" if _is_near(run) else "an earlier run elsewhere",
    )


def _cost_of_folds(client: MlflowClient, experiment: str, method: Method) -> Cost | None:
    """Return the cost in the latest finished folds on this machine, whose run is incomplete."""
    folds = islice(search(client, experiment, kind=Kind.FOLD, method=method.name), MOST_RECENT)
    by_parent: dict[str, list[dict[str, float]]] = {}
    for run in folds:
        if run.info.status == FINISHED:
            parent = run.data.tags.get(MLFLOW_PARENT_RUN_ID, "")
            by_parent.setdefault(parent, []).append(fold_metrics(run.data.metrics))
    for parent, metrics in by_parent.items():
        cost = _cost_of_parent(client, parent, method, metrics)
        if cost is not None:
            return cost
    return None


def _cost_of_parent(
    client: MlflowClient, parent: str, method: Method, folds: Sequence[Mapping[str, float]]
) -> Cost | None:
    try:
        run = client.get_run(parent)
    except MlflowException:  # it may have been deleted
        return None
    seconds = [fold["fit_seconds"] for fold in folds if "fit_seconds" in fold]
    epochs = [fold["n_epochs"] for fold in folds if fold.get("n_epochs")]
    if not seconds or not _is_near(run) or not _has_own_cost(run, method):
        return None
    return measured_cost(
        method,
        parent_params(run.data.params),
        fit_seconds=mean(seconds),
        n_epochs=mean(epochs) if epochs else None,
        source=f"{len(seconds)} finished folds",
    )


def f1_of(run: Run) -> float | None:
    """Return the mean macro F1 of a finished cross-validation, 0 to 1; None if it is missing."""
    f1 = parent_metrics(run.data.metrics).get(F1)
    return f1 if f1 is not None and 0 <= f1 <= 1 else None


def _unused(run: Run, error: RunDataError) -> str:
    return f"run {printable(run.info.run_id)} is not used: {error}"


def finished_folds(client: MlflowClient, experiment: str, setting: Setting) -> int:
    """Return the number of finished folds of a setting in interrupted runs and searches."""
    wanted = {split.id for split in setting.plan.splits}
    children: Any = search(client, experiment, kind=Kind.FOLD, identity=setting.identity)
    done = {run.data.tags.get(schema.SPLIT) for run in children if run.info.status == FINISHED}
    return len(wanted & done)
