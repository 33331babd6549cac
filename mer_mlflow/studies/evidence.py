"""Results of a study in an experiment: finished runs, best settings, times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.crossval.setting import Setting
from mer_mlflow.errors import RunDataError
from mer_mlflow.studies.estimates import Cost, cost_of_run
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import Kind, Status, schema, search
from mer_mlflow.tracking.reading import MOST_FOLDS, parent_metrics, parent_params, text, whole
from mer_mlflow.training import Method

F1 = "f1_macro_mean"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Finished runs of an experiment.

    Attributes
    ----------
    trained : complete cross-validations by identity and number of folds, without trials of
        searches, unless their setting was also trained outside of the search
    searched : finished searches with a best setting, by the name of their Optuna study
    costs : cost of the latest complete cross-validation of each methodology
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
    parents = search(client, experiment, kind=Kind.PARENT, status=Status.COMPLETE)
    for run in sorted(parents, key=lambda run: int(run.info.start_time or 0)):
        tags = run.data.tags
        try:
            name, identity = text(tags, schema.METHOD), text(tags, schema.IDENTITY)
            n_folds = whole(tags, schema.FOLDS_EXPECTED, low=1, high=MOST_FOLDS)
        except RunDataError as error:
            on_warning(_unused(run, error))
            continue
        is_trial = schema.TRIAL in tags and schema.TRAINED not in tags
        if not is_trial:
            trained[identity, n_folds] = run
        if name in methods and not (is_trial and methods[name].shares_work):
            params, metrics = parent_params(run.data.params), parent_metrics(run.data.metrics)
            cost = cost_of_run(methods[name], params, metrics)
            costs |= {name: cost} if cost is not None else {}
    for run in search(client, experiment, kind=Kind.SEARCH, status=Status.COMPLETE):
        try:
            searched |= {text(run.data.tags, schema.STUDY): run} if has_winner(run) else {}
        except RunDataError as error:
            on_warning(_unused(run, error))
    return Evidence(trained=trained, searched=searched, costs=costs)


def latest_cost(client: MlflowClient, experiment: str, method: Method) -> Cost | None:
    """Return the cost of a methodology in its latest complete cross-validation of an experiment.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    method : the methodology

    Returns
    -------
    the cost; None if there is no such run, or its cost is unknown
    """
    runs = search(
        client, experiment, kind=Kind.PARENT, status=Status.COMPLETE, method=method.name
    )  # the latest one first
    costs = (
        cost_of_run(method, parent_params(run.data.params), parent_metrics(run.data.metrics))
        for run in runs
    )
    return next(filter(None, costs), None)


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
    done = {run.data.tags.get(schema.SPLIT) for run in children if run.info.status == "FINISHED"}
    return len(wanted & done)
