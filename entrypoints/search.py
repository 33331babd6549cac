"""search: tune a methodology; every setting that is tried is a tracked cross-validation."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from entrypoints.command import OK, print_where, run_command
from entrypoints.parameters import CROSS_VALIDATION, METHOD, SEARCH, parse, parse_hyperparameters
from entrypoints.protocol import Resolved, resolve_protocol, resolve_transforms
from mer_mlflow.access import shown
from mer_mlflow.crossval.validation import gather
from mer_mlflow.errors import IncompleteError, ParameterError
from mer_mlflow.methods import Value, get_method
from mer_mlflow.profiles import capped
from mer_mlflow.progress import progress
from mer_mlflow.representations import open_store
from mer_mlflow.tuning.space import grid, resolve_space, space_text, start_point
from mer_mlflow.tuning.strategies import check_search

if TYPE_CHECKING:
    from optuna import Study, Trial

    from mer_mlflow.tuning.space import Point
    from mer_mlflow.tuning.study import Search
    from mer_mlflow.tuning.trials import Protocol

STORAGE = "sqlite:///optuna.db"
STORAGE_VARIABLE = "MER_OPTUNA_STORAGE"


def search(
    *,
    method: str = "svm",
    hyperparameters: Mapping[str, Value] | None = None,
    strategy: str = "neighbour",
    space: str | None = None,
    start: Mapping[str, Value] | None = None,
    prune: str | None = None,
    trials: int = 20,
    storage: str | None = None,
    dataset: str | None = None,
    data_root: str | None = None,
    profile: str | None = None,
    protocol: str = "paper",
    folds: int | None = None,
    repeats: int | None = None,
    seed: int = 0,
    max_epochs: int | None = None,
    features: str | None = None,
    augment: str | None = None,
    noise_root: str | None = None,
    weights: str | None = None,
    allow_unverified_weights: bool = False,
    duration: float | None = None,
    workers: int | None = None,
    threads: int = 1,
) -> int:
    """Search a methodology's hyperparameters and leave the winner where ``train`` finds it.

    Parameters
    ----------
    method : name of the methodology
    hyperparameters : values that are not searched and differ from its defaults
    strategy : ``grid``, ``neighbour`` or ``tpe``
    space : values to search, by default those that the methodology declares
    start : values that a neighbour search begins at, by default the methodology's
    prune : ``wilcoxon`` to stop settings whose folds are worse than the best setting's
    trials : number of trials after which ``tpe`` ends
    storage : database URL of the Optuna study, by default ``MER_OPTUNA_STORAGE``
    dataset, data_root, profile, protocol, folds, repeats, seed, max_epochs, features, augment, \
        noise_root, weights, allow_unverified_weights, duration, workers, threads : as for \
        ``train``

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    """
    check_search(strategy=strategy, prune=prune, trials=trials)
    declared = get_method(method)
    values = resolve_space(space, declared)
    both = sorted(set(hyperparameters or {}) & set(values))
    if both:
        raise ParameterError(f"{both[0]} is both fixed by hyperparameters and searched")
    beginning = start_point(declared, values, start)
    frame = resolve_protocol(
        declared,
        dataset=dataset,
        data_root=data_root,
        profile=profile,
        protocol=protocol,
        folds=folds,
        repeats=repeats,
        seed=seed,
        duration=duration,
        workers=workers,
    )
    fixed = capped(declared, hyperparameters or {}, profile=frame.size, max_epochs=max_epochs)
    from mer_mlflow.tuning.declare import declare_search
    from mer_mlflow.tuning.trials import Protocol

    shared = Protocol(
        method=declared,
        clips=frame.clips,
        plan=frame.plan,
        hyperparameters={key: value for key, value in fixed.items() if key not in values},
        features=features,
        augmentations=resolve_transforms(declared, augment=augment, noise_root=noise_root)[0],
        duration=frame.duration,
        threads=threads,
        weights=weights,
        allow_unverified_weights=allow_unverified_weights,
    )
    wanted = declare_search(
        shared, strategy=strategy, space=values, start=beginning, trials=trials, prune=prune
    )
    url = storage or os.environ.get(STORAGE_VARIABLE) or STORAGE
    return _run(wanted, shared, frame, url)


def _run(wanted: Search, shared: Protocol, frame: Resolved, url: str) -> int:
    from mlflow import MlflowClient

    from mer_mlflow.tracking import check_store, open_run
    from mer_mlflow.tracking.outage import own_retries, patiently
    from mer_mlflow.tracking.writer import batch, send
    from mer_mlflow.tuning.record import search_items
    from mer_mlflow.tuning.sharing import FoldsAhead
    from mer_mlflow.tuning.study import open_study, run_study, unclaimed_points
    from mer_mlflow.tuning.trials import evaluate_point

    n_points = sum(1 for _ in grid(wanted.space))
    print(f"study: {wanted.name} (storage {shown(url)})")
    print(f"space: {space_text(wanted.space)} ({n_points} combinations)", flush=True)
    check_store()
    study = open_study(wanted, url)
    client = MlflowClient()
    run = open_run(client, name=f"search {wanted.name}")
    run_id = str(run.info.run_id)
    n_before = len(study.get_trials(deepcopy=False))
    tags = {"mer.profile": frame.profile, "mer.study": wanted.name}
    try:
        with progress("representations") as clip_progress:
            examples = gather(
                shared.setting(wanted.start), store=open_store(), on_progress=clip_progress
            )
        ahead = FoldsAhead(shared, examples, workers=frame.n_workers)
        runs_ahead = shared.method.fit_settings is not None and not wanted.prune

        def evaluate(trial: Trial, point: Point) -> float:
            def upcoming() -> list[Point]:
                return unclaimed_points(study, wanted)

            return evaluate_point(
                trial,
                point,
                protocol=shared,
                examples=examples,
                workers=frame.n_workers,
                tags=tags,
                source=frame.source,
                ready=ahead.take(point, upcoming) if runs_ahead else {},
            )

        with progress("trials") as trial_progress:
            run_study(study, wanted, evaluate, on_trial=trial_progress)
    except BaseException:
        with suppress(Exception), own_retries():  # what ended the search is what is to be told
            client.set_terminated(run_id, "FAILED")
        raise
    found = batch(search_items(study, wanted, shared))
    with own_retries():
        patiently(lambda: send(client, run_id, found))
        patiently(lambda: client.set_terminated(run_id, "FINISHED"))
    if len(study.get_trials(deepcopy=False)) == n_before:
        print("nothing was run: this search was finished before")
    _print_outcome(study, shared)
    print_where(run_id, str(run.info.experiment_id))
    return OK


def _print_outcome(study: Study, shared: Protocol) -> None:
    from mer_mlflow.tuning.record import folds_by_use
    from mer_mlflow.tuning.study import best_trial

    used = folds_by_use(study, shared)
    print(", ".join(f"{key.replace('_', ' ')}: {count}" for key, count in used.items()))
    best = best_trial(study)
    if best is None or best.value is None:
        raise IncompleteError(f"study {study.study_name}: no setting has a score; see their runs")
    print(f"best: {_assigned(best.params)} with macro F1 {best.value:.2%} (trial {best.number})")
    print("  chosen by the folds that it is scored on: the score is optimistic")
    print(f"train with it: -P method={shared.method.name} -P hyperparameters=best")


def _assigned(values: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def main(arguments: Sequence[str]) -> int:
    """Run ``search``."""
    given = parse((*METHOD, *SEARCH, *CROSS_VALIDATION), arguments)
    return search(
        **given
        | {
            name: parse_hyperparameters(given[name], name=name)
            for name in ("hyperparameters", "start")
        }
    )


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
