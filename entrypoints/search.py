"""search: tune a methodology; every setting that is tried is a tracked cross-validation."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

from entrypoints.command import OK, print_where, run_command
from entrypoints.datasets import WITHOUT_FILES, announce_dataset
from entrypoints.parameters import METHOD, SEARCH, TUNED, parse, parse_hyperparameters
from mer_mlflow.crossval.executors import resolve_workers
from mer_mlflow.crossval.splits import split_plan
from mer_mlflow.crossval.validation import gather
from mer_mlflow.datasets import data_root_or_default, load_dataset
from mer_mlflow.errors import IncompleteError, ParameterError
from mer_mlflow.methods import Value, get_method
from mer_mlflow.profiles import capped, get_profile
from mer_mlflow.progress import progress
from mer_mlflow.representations import open_store
from mer_mlflow.tuning.space import Point, declared_space, grid, parse_space

STORAGE = "sqlite:///optuna.db"
PRUNER = "wilcoxon"
STRATEGIES = ("grid", "neighbour", "tpe")


def search(
    *,
    method: str = "svm",
    hyperparameters: Mapping[str, Value] | None = None,
    strategy: str = "neighbour",
    space: str | None = None,
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
    prune : ``wilcoxon`` to stop settings whose folds are worse than the best setting's
    trials : number of trials after which ``tpe`` ends
    storage : database URL of the Optuna study, by default ``MER_OPTUNA_STORAGE``
    dataset, data_root, profile, protocol, folds, repeats, seed, max_epochs, features, duration,
    workers, threads : as for ``train``

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    """
    if strategy not in STRATEGIES:
        raise ParameterError(
            f"strategy={strategy}: unknown; strategies are {', '.join(STRATEGIES)}"
        )
    if prune not in (None, PRUNER):
        raise ParameterError(f"prune={prune}: unknown; the pruner is {PRUNER}")
    if trials < 1:
        raise ParameterError(f"trials={trials}: must be >= 1")
    declared = get_method(method)
    values = declared_space(declared) if space is None else parse_space(space, declared)
    name = announce_dataset(dataset, data_root)
    profile_name = profile or ("quick" if name == WITHOUT_FILES else "paper")
    size = get_profile(profile_name)
    fixed = capped(declared, hyperparameters or {}, profile=size, max_epochs=max_epochs)
    both = sorted(set(hyperparameters or {}) & set(values))
    if both:
        raise ParameterError(f"{both[0]} is both fixed by hyperparameters and searched")
    clips = load_dataset(name, data_root, on_warning=lambda words: print(f"warning: {words}"))
    plan = split_plan(
        clips,
        protocol=protocol,
        n_splits=size.n_splits if folds is None else folds,
        n_repeats=(1 if protocol.startswith("fixed") else size.n_repeats)
        if repeats is None
        else repeats,
        seed=seed,
    )
    from mer_mlflow.tuning.study import Search, best_trial, open_study, run_study
    from mer_mlflow.tuning.trials import Protocol, evaluate_point

    shared = Protocol(
        method=declared,
        clips=clips,
        plan=plan,
        hyperparameters={key: value for key, value in fixed.items() if key not in values},
        features=features,
        duration=size.duration if duration is None else duration,
        threads=threads,
    )
    start: Point = {key: declared.defaults[key] for key in values}
    setting = shared.setting(start)
    facts = [setting.identity, plan.n_repeats, strategy, prune, dict(values)]
    facts.append(trials * (strategy == "tpe"))
    digest = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:8]
    wanted = Search(
        name=f"{method} {name} {strategy} {digest}",
        strategy=strategy,
        space=values,
        start=start,
        n_trials=trials,
        seed=seed,
        prune=prune or "",
    )
    n_workers = resolve_workers(workers)
    if n_workers == 0 and declared.framework == "keras":
        raise ParameterError(f"workers=0: {method} needs a worker; use workers=1")
    url = storage or os.environ.get("MER_OPTUNA_STORAGE") or STORAGE
    print(f"study: {wanted.name} (storage {url})")
    n_points = sum(1 for _ in grid(values))
    print(f"space: {_shown(values)} ({n_points} combinations)")
    print(f"protocol: {protocol}, {plan.n_repeats} x {plan.n_splits} folds", flush=True)
    from mlflow import MlflowClient

    from mer_mlflow.tracking import check_store, open_run, write
    from mer_mlflow.tuning.record import folds_by_use, search_items

    check_store()
    study = open_study(wanted, url)
    client = MlflowClient()
    run = open_run(client, name=f"search {wanted.name}")
    run_id = str(run.info.run_id)
    n_before = len(study.get_trials(deepcopy=False))
    try:
        with progress("representations") as clip_progress:
            examples = gather(setting, store=open_store(), on_progress=clip_progress)
        with progress("trials") as trial_progress:
            run_study(
                study,
                wanted,
                lambda trial, point: evaluate_point(
                    trial,
                    point,
                    protocol=shared,
                    examples=examples,
                    workers=n_workers,
                    tags={"mer.profile": profile_name, "mer.study": wanted.name},
                    source=str(data_root_or_default(data_root) or name),
                ),
                on_trial=trial_progress,
            )
    except BaseException:
        client.set_terminated(run_id, "FAILED")
        raise
    write(client, run_id, list(search_items(study, wanted, shared)))
    client.set_terminated(run_id, "FINISHED")
    best = best_trial(study)
    used = folds_by_use(study, shared)
    print(", ".join(f"{key.replace('_', ' ')}: {count}" for key, count in used.items()))
    if len(study.get_trials(deepcopy=False)) == n_before:
        print("nothing was run: this search was finished before")
    if best is None or best.value is None:
        raise IncompleteError(f"study {wanted.name}: no setting has a score; see its trials' runs")
    print(f"best: {_assigned(best.params)} with macro F1 {best.value:.2%} (trial {best.number})")
    print("  chosen by the folds that it is scored on: the score is optimistic")
    print(f"train with it: -P method={method} -P hyperparameters=best")
    print_where(run_id, str(run.info.experiment_id))
    return OK


def _shown(values: Mapping[str, Sequence[Value]]) -> str:
    return "; ".join(f"{name}={','.join(map(str, listed))}" for name, listed in values.items())


def _assigned(values: Mapping[str, Value]) -> str:
    return ", ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}"
        for name, value in values.items()
    )


def main(arguments: Sequence[str]) -> int:
    """Run ``search``."""
    given = parse((*METHOD, *SEARCH, *TUNED), arguments)
    return search(**given | {"hyperparameters": parse_hyperparameters(given["hyperparameters"])})


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
