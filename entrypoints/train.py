"""train: cross-validate one methodology; every fold is a nested MLflow run."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from entrypoints.command import INCOMPLETE, OK, print_where, run_command
from entrypoints.parameters import METHOD, TRAIN, Parameter, parse, parse_hyperparameters
from entrypoints.protocol import resolve_protocol, resolve_transforms
from mer_mlflow.augmentation import BackgroundNoise
from mer_mlflow.crossval.metrics import SCORES
from mer_mlflow.crossval.validation import (
    CHANGED,
    CrossValidation,
    Setting,
    gather,
    gather_probes,
    resolve_setting,
    validate,
)
from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import Method, Value, get_method
from mer_mlflow.profiles import capped
from mer_mlflow.progress import progress
from mer_mlflow.representations import Features, open_store
from mer_mlflow.tuning.space import resolve_space
from mer_mlflow.tuning.strategies import STRATEGIES

if TYPE_CHECKING:
    from mer_mlflow.tracking import RunTree
    from mer_mlflow.tuning.nested import InnerSearch

BEST = "best"
BEST_OF = "best of "


def train(
    *,
    method: str = "svm",
    hyperparameters: Mapping[str, Value] | str | None = None,
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
    test_curve: int = 0,
    probe: str | None = None,
    nested: bool = False,
    strategy: str | None = None,
    space: str | None = None,
) -> int:
    """Cross-validate a methodology and track it.

    Parameters
    ----------
    method : name of the methodology
    hyperparameters : values that differ from its defaults; ``best`` for the winner of its latest
        search on Original-4QAED; ``best of STUDY`` for the winner of the search of that name
    dataset : name; by default original-4qaed where a data root is known, else demo
    data_root : folder of the dataset, by default ``MER_DATA_ROOT``
    profile : ``paper`` or ``quick``; by default quick for the demo, paper for the rest
    protocol : ``paper``, ``grouped``, ``fixed`` or ``fixed-40-30-30``
    folds, repeats, max_epochs, duration : override the profile
    seed : of splits, synthesised clips and training
    features : ``published`` or ``extracted``; by default published where the dataset has them
    augment : transforms that give every training clip a copy to train on, with commas between them,
        or ``none``; by default the methodology's own
    noise_root : folder of recordings for background noise, by default noise is synthesised
    weights : file of pretrained weights, or folder that holds them, by default
        ``MER_WEIGHTS_ROOT``
    allow_unverified_weights : whether files whose digest is not known are taken
    workers : worker processes, by default one a core; 0 for none, where no network is trained
    threads : arithmetic threads of a worker
    test_curve : 1 to predict the test clips after every epoch
    probe : transforms, with commas between them: the run tells how often a trained model puts a
        test clip's copy into another quadrant than the clip
    nested : whether each training set chooses its own hyperparameters by folds inside it, as a
        search would; what ``hyperparameters`` gives is where a neighbour search begins
    strategy, space : of that choice, by default those of the search that ``best`` names, else
        ``neighbour`` and the values that the methodology declares

    Returns
    -------
    exit code: 0, or 3 where a fold failed

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    UndeliveredError
        If all is done, but the tracking server has not taken all results.
    """
    declared = get_method(method)
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
    plan = frame.plan
    chosen, tuned_by, searched = _chosen(declared, hyperparameters, dataset=frame.dataset)
    if not nested and (strategy or space):
        raise ParameterError(
            "strategy and space belong to nested=true, or to the entry point search"
        )
    given = capped(declared, chosen, profile=frame.size, max_epochs=max_epochs)
    choice = None
    if nested:
        choice = _inner_search(
            declared,
            given,
            strategy=strategy or searched.get("strategy", "neighbour"),
            space=space or searched.get("space"),
        )
        tuned_by |= {"mer.selection": "nested"}
    training, asked = resolve_transforms(
        declared, augment=augment, noise_root=noise_root, probe=probe
    )
    setting = resolve_setting(
        declared,
        frame.clips,
        plan,
        hyperparameters=given,
        choice=choice,
        features=features,
        augmentations=training,
        duration=frame.duration,
        threads=threads,
        weights=weights,
        allow_unverified_weights=allow_unverified_weights,
    )
    shown = ", ".join(f"{key}={value}" for key, value in asdict(setting.hyperparameters).items())
    print(f"method: {declared.title} ({shown})", flush=True)
    if choice is not None:
        print(f"nested: each training set chooses {', '.join(choice.names)} by a search of its own")
    _announce_inputs(setting, chosen=features)
    from mer_mlflow.tracking import RunTree, adopt_trial

    with progress("representations") as clip_progress:
        examples = gather(setting, store=open_store(), on_progress=clip_progress)
        probes = gather_probes(
            setting,
            asked,
            store=open_store(),
            on_progress=clip_progress,
        )
    with RunTree(
        setting, tags={"mer.profile": frame.profile, **tuned_by}, source=frame.source
    ) as runs:
        _announce_continued(runs, keeps_what_it_has=bool(test_curve or probe))
        with progress(f"{method} folds") as advance:
            advance(runs.n_adopted, len(plan.splits))
            runs.on_fold = lambda done, total, event: advance(done, total)
            validation = validate(
                setting,
                examples,
                workers=frame.n_workers,
                test_curve=bool(test_curve),
                probes=probes,
                listener=runs,
            )
        if runs.duplicate_of is None:
            runs.conclude(validation)
        _print_outcome(validation)
    if runs.duplicate_of is not None:
        adopt_trial(runs.duplicate_of, tuned_by)
        print(f"nothing was run again: run {runs.duplicate_of} is this cross-validation, complete")
    print_where(runs.duplicate_of or runs.run_id, runs.experiment_id)
    return OK if validation.is_complete else INCOMPLETE


def _chosen(
    declared: Method, hyperparameters: Mapping[str, Value] | str | None, *, dataset: str
) -> tuple[Mapping[str, Value], dict[str, str], dict[str, str]]:
    """Hyperparameters, tags of the search that they come from, and its strategy and space."""
    from mer_mlflow.tracking import check_store

    check_store()
    if not isinstance(hyperparameters, str):
        return hyperparameters or {}, {}, {}
    from mlflow import MlflowClient

    from mer_mlflow.tracking import current_experiment
    from mer_mlflow.tuning.record import find_best

    client = MlflowClient()
    best = find_best(
        client,
        current_experiment(client),
        method=declared.name,
        dataset=dataset,
        study=hyperparameters.removeprefix(BEST_OF) if hyperparameters != BEST else None,
    )
    print(f"hyperparameters: the best of study {best['study']}")
    tags = {"mer.tuned_by": best["study"], "mer.selection": "not nested"}
    return best["hyperparameters"], tags, {key: best[key] for key in ("strategy", "space")}


def _inner_search(
    declared: Method, given: Mapping[str, Value], *, strategy: str, space: str | None
) -> InnerSearch:
    from mer_mlflow.tuning.nested import InnerSearch

    if strategy not in STRATEGIES:
        raise ParameterError(
            f"strategy={strategy}: nested=true works with {' and '.join(STRATEGIES)}"
        )
    values = resolve_space(space, declared)
    start = asdict(declared.resolve(given))
    return InnerSearch(
        strategy=strategy, space=values, start={name: start[name] for name in values}
    )


def _announce_inputs(setting: Setting, *, chosen: str | None) -> None:
    if setting.features:
        why = "as asked"
        if chosen is None:
            read = setting.method.inputs_for(setting.hyperparameters)
            tables = [item.table for item in read if isinstance(item, Features)]
            has = "has" if setting.features == "published" else "has no"
            why = f"dataset {setting.clips.name} {has} table '{tables[0]}'"
        print(f"handcrafted features: {setting.features} ({why})", flush=True)
    for found in setting.weights:
        words = "known" if found.is_known else "NOT VERIFIED"
        print(f"weights: {found.name}, {found.file} (SHA-256 {found.digest[:12]}…, {words})")
    n_copies = len(setting.augmentations)
    if n_copies:
        print(f"augmentation: {n_copies} synthesised copies of each training clip", flush=True)
    if any(isinstance(each, BackgroundNoise) and not each.files for each in setting.augmentations):
        print("notice: the background noise is synthesised; -P noise_root= names recordings")


def _announce_continued(runs: RunTree, *, keeps_what_it_has: bool) -> None:
    if runs.n_adopted:
        print(f"{runs.n_adopted} folds were already done", flush=True)
        if keeps_what_it_has:
            print("test_curve and probe: those folds keep what they have")
    if runs.n_of_other_software:
        print(
            f"warning: {runs.n_of_other_software} of them were run by another version of the "
            "code or its packages (see their tags)"
        )


def _print_outcome(validation: CrossValidation) -> None:
    plan = validation.setting.plan
    if validation.is_complete:
        for name in SCORES:
            summary = validation.summary[name]
            deviation = f" ± {summary.std:.2%}" if summary.n_folds > 1 else ""
            print(f"  {name:20} {summary.mean:7.2%}{deviation}")
        for name, summary in validation.summary.items():
            if name.endswith("/f1_macro"):
                print(f"  {name:20} {summary.mean:7.2%} (stage)")
        for name in (f"{CHANGED}{each}" for each in validation.results[0].changed):
            share = float(validation.folds[name].mean())
            print(f"  {name:20} {share:7.2%} (test clips whose copy is put elsewhere)")
        return
    print(f"incomplete: {len(validation.results)} of {len(plan.splits)} folds have a result")
    for failure in validation.failures[:3]:
        print(f"  fold {failure.split.id}: {failure.reason}", file=sys.stderr)
    print("give the same command again to run the missing folds; their runs have the tracebacks")


def hyperparameter_options(method: str) -> tuple[Parameter, ...]:
    """Hyperparameters of a methodology as parameters of its own entry point."""
    return tuple(
        Parameter(name=name, default=default, kind=type(default), help="hyperparameter")
        for name, default in get_method(method).defaults.items()
    )


def main(arguments: Sequence[str]) -> int:
    """Run ``train``, or with ``--only METHOD`` a methodology's own entry point."""
    if arguments[:1] == ["--only"]:
        method = "".join(arguments[1:2])
        own = hyperparameter_options(method)
        given = parse((*TRAIN, *own), arguments[2:])
        values = {parameter.name: given.pop(parameter.name) for parameter in own}
        return train(method=method, hyperparameters=values, **given)
    given = parse((*METHOD, *TRAIN), arguments)
    text = given["hyperparameters"] or ""
    is_winner = text == BEST or text.startswith(BEST_OF)
    return train(**given | {"hyperparameters": text if is_winner else parse_hyperparameters(text)})


if __name__ == "__main__":
    run_command(lambda: main(sys.argv[1:]))
