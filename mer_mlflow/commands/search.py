"""search: tune a methodology; each trial is a tracked cross-validation."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from mer_mlflow.access import SEARCHES, redacted
from mer_mlflow.arithmetic import require
from mer_mlflow.commands.announcement import announce_dataset, announce_protocol, announced_clips
from mer_mlflow.commands.command import OK, print_where
from mer_mlflow.commands.parameters import METHOD, SEARCH, SEARCHED, experiment_values
from mer_mlflow.crossval.setting import Setting, gather
from mer_mlflow.errors import IncompleteError
from mer_mlflow.experiments import Experiment, ResolvedSearch, Search, resolve_search
from mer_mlflow.methods import get_method
from mer_mlflow.progress import progress
from mer_mlflow.representations import open_store
from mer_mlflow.training import Value
from mer_mlflow.tuning.pruning import fold_order
from mer_mlflow.tuning.space import grid, space_text

if TYPE_CHECKING:
    from optuna import Study, Trial

    from mer_mlflow.tuning.space import Point

STORAGE = "sqlite:///optuna.db"
STORAGE_VARIABLE = "MER_OPTUNA_STORAGE"


def search(requested: Search) -> int:
    """Search a methodology's hyperparameters, and record the best setting for ``train``.

    Parameters
    ----------
    requested : the requested search

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    """
    experiment = requested.experiment
    require(experiment.arithmetic)
    name = announce_dataset(experiment.dataset, experiment.data_root)
    get_method(experiment.method)
    clips, source = announced_clips(name, experiment.data_root, av_scale=experiment.av_scale)
    resolved = resolve_search(requested, clips)
    announce_protocol(resolved.setting, profile=resolved.profile)
    url = storage_url(requested.storage)
    return _run(resolved, source=source, url=url)


def storage_url(given: str | None) -> str:
    """Return the database URL of searches: the given one, ``MER_OPTUNA_STORAGE``, or a file."""
    return given or os.environ.get(STORAGE_VARIABLE) or STORAGE


def _run(resolved: ResolvedSearch, *, source: str, url: str) -> int:
    from mlflow import MlflowClient

    from mer_mlflow.tracking import Kind, active_run, check_store, close_abandoned, open_run, schema
    from mer_mlflow.tracking.outage import retry, without_client_retries
    from mer_mlflow.tracking.writer import batch, send
    from mer_mlflow.tuning.record import search_items
    from mer_mlflow.tuning.sharing import FoldsAhead
    from mer_mlflow.tuning.study import check_storage, open_study, run_study, unclaimed_points
    from mer_mlflow.tuning.trials import evaluate_point

    wanted = resolved.search
    setting = replace(resolved.setting, only_quadrants=resolved.setting.method.shares_work)
    for finding in setting.findings:
        print(f"warning: {finding}", flush=True)
    n_points = sum(1 for _ in grid(wanted.space))
    print(f"study: {wanted.name} (storage {redacted(url)})")
    print(f"space: {space_text(wanted.space)} ({n_points} combinations)", flush=True)
    check_storage(url)
    check_store()
    study = open_study(wanted, url)
    client = MlflowClient()
    run = open_run(client, name=f"{wanted.name} · search")
    run_id, experiment = str(run.info.run_id), str(run.info.experiment_id)
    n_before = len(study.get_trials(deepcopy=False))
    tags = {schema.PROFILE: resolved.profile, schema.STUDY: wanted.name}
    with active_run(client, run_id, kind=Kind.SEARCH, study=wanted.name):
        for kind in (Kind.SEARCH, Kind.PARENT):
            close_abandoned(client, experiment, kind=kind, but=run_id, study=wanted.name)
        with progress("representations") as clip_progress:
            examples = gather(setting, store=open_store(), on_progress=clip_progress)
        ahead = FoldsAhead(setting, examples, executor=resolved.executor)
        runs_ahead = setting.method.shares_work and not wanted.prune

        def evaluate(trial: Trial, point: Point) -> float:
            def upcoming() -> list[Point]:
                return unclaimed_points(study, wanted)

            return evaluate_point(
                trial,
                point,
                setting=setting,
                examples=examples,
                executor=resolved.executor,
                tags=tags,
                source=source,
                order=fold_order(setting.plan, wanted.prune),
                ready=ahead.take(point, upcoming) if runs_ahead else {},
            )

        with progress("trials") as trial_progress:
            run_study(study, wanted, evaluate, on_trial=trial_progress)
        found = batch(search_items(study, wanted, setting))
        with without_client_retries():
            retry(lambda: send(client, run_id, found))
            retry(lambda: client.set_terminated(run_id, "FINISHED"))
    if len(study.get_trials(deepcopy=False)) == n_before:
        print("nothing was run: this search is already finished")
    _print_outcome(study, setting)
    print_where(run_id, experiment, view=SEARCHES)
    return OK


def _print_outcome(study: Study, setting: Setting) -> None:
    from mer_mlflow.tuning.record import adoption_warnings, folds_by_use
    from mer_mlflow.tuning.study import best_trial

    used = folds_by_use(study, setting)
    print(", ".join(f"{key.replace('_', ' ')}: {count}" for key, count in used.items()))
    for message in adoption_warnings(study):
        print(f"warning: {message}")
    best = best_trial(study)
    if best is None or best.value is None:
        raise IncompleteError(f"study {study.study_name}: no setting has a score; see their runs")
    print(f"best: {_assigned(best.params)} with macro F1 {best.value:.2%} (trial {best.number})")
    print("  it was chosen by the same test folds: the score is optimistic")
    print(f"train with it: -P method={setting.method.name} -P hyperparameters=best")


def _assigned(values: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def main(arguments: Sequence[str]) -> int:
    """Run ``search``."""
    given = experiment_values((*METHOD, *SEARCH, *SEARCHED), arguments)
    own = {parameter.name: given.pop(parameter.name) for parameter in SEARCH}
    return search(Search(experiment=Experiment(**given), **own))
