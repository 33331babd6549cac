"""What an experiment already holds of a study: finished runs, winners, times."""

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
from mer_mlflow.tracking.reading import MOST_FOLDS, text, whole
from mer_mlflow.training import Method

F1 = "f1_macro_mean"


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Finished runs of an experiment.

    Attributes
    ----------
    trained : complete cross-validations by identity and number of folds; trials of a search are
        none, unless their setting was also trained
    searched : finished searches that have a winner, by the name of their study
    costs : what the latest complete cross-validation of each methodology took
    """

    trained: Mapping[tuple[str, int], Run] = field(default_factory=dict)
    searched: Mapping[str, Run] = field(default_factory=dict)
    costs: Mapping[str, Cost] = field(default_factory=dict)

    def training(self, setting: Setting) -> Run | None:
        """The complete run of a setting, None where there is none."""
        return self.trained.get((setting.identity, len(setting.plan.splits)))


def collect(
    client: MlflowClient,
    experiment: str,
    methods: Mapping[str, Method],
    *,
    on_warning: Callable[[str], object] = lambda words: None,
) -> Evidence:
    """Read what an experiment holds; runs whose tags are damaged count for nothing.

    Parameters
    ----------
    client : of the tracking server
    experiment : its id
    methods : of the study, by name
    on_warning : called with a sentence about each run that counts for nothing
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
        if schema.TRIAL not in tags or schema.TRAINED in tags:
            trained[identity, n_folds] = run
        if name in methods:
            cost = cost_of_run(methods[name], run.data.params, run.data.metrics)
            costs |= {name: cost} if cost is not None else {}
    for run in search(client, experiment, kind=Kind.SEARCH, status=Status.COMPLETE):
        try:
            searched |= {text(run.data.tags, schema.STUDY): run} if has_winner(run) else {}
        except RunDataError as error:
            on_warning(_unused(run, error))
    return Evidence(trained=trained, searched=searched, costs=costs)


def f1_of(run: Run) -> float | None:
    """Mean macro F1 of a finished cross-validation, 0 to 1; None where its run does not say."""
    f1 = run.data.metrics.get(F1)
    return f1 if f1 is not None and 0 <= f1 <= 1 else None


def _unused(run: Run, error: RunDataError) -> str:
    return f"run {printable(run.info.run_id)} is not used: {error}"


def finished_folds(client: MlflowClient, experiment: str, setting: Setting) -> int:
    """Folds of a setting that an interrupted run, or a search, has already finished."""
    wanted = {split.id for split in setting.plan.splits}
    children: Any = search(client, experiment, kind=Kind.FOLD, identity=setting.identity)
    done = {run.data.tags.get(schema.SPLIT) for run in children if run.info.status == "FINISHED"}
    return len(wanted & done)
