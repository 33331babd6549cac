"""What an experiment already holds of a study: finished runs, winners, times."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.crossval.validation import Setting
from mer_mlflow.studies.estimates import Cost, cost_of_run
from mer_mlflow.tracking import Kind, Status, search
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


def collect(client: MlflowClient, experiment: str, methods: Mapping[str, Method]) -> Evidence:
    """Read what an experiment holds.

    Parameters
    ----------
    client : of the tracking server
    experiment : its id
    methods : of the study, by name
    """
    from mer_mlflow.tuning.record import has_winner

    parents = sorted(
        search(client, experiment, kind=Kind.PARENT, status=Status.COMPLETE),
        key=lambda run: int(run.info.start_time),
    )
    costs: dict[str, Cost] = {}
    for run in parents:
        name = run.data.tags["mer.method"]
        if name in methods:
            cost = cost_of_run(methods[name], run.data.params, run.data.metrics)
            costs |= {name: cost} if cost is not None else {}
    return Evidence(
        trained={
            (run.data.tags["mer.identity"], int(run.data.tags["mer.folds_expected"])): run
            for run in parents
            if "mer.trial" not in run.data.tags or "mer.trained" in run.data.tags
        },
        searched={
            run.data.tags["mer.study"]: run
            for run in search(client, experiment, kind=Kind.SEARCH, status=Status.COMPLETE)
            if has_winner(run)
        },
        costs=costs,
    )


def finished_folds(client: MlflowClient, experiment: str, setting: Setting) -> int:
    """Folds of a setting that an interrupted run, or a search, has already finished."""
    wanted = {split.id for split in setting.plan.splits}
    children: Any = search(client, experiment, kind=Kind.FOLD, identity=setting.identity)
    done = {run.data.tags["mer.split"] for run in children if run.info.status == "FINISHED"}
    return len(wanted & done)
