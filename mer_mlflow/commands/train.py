"""train: cross-validate one methodology; every fold is a nested MLflow run."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mer_mlflow.access import LEADERBOARD
from mer_mlflow.arithmetic import require
from mer_mlflow.commands.announcement import (
    announce_dataset,
    announce_method,
    announce_protocol,
    announced_clips,
)
from mer_mlflow.commands.command import INCOMPLETE, OK, print_where
from mer_mlflow.commands.parameters import METHOD, TRAIN, experiment_values
from mer_mlflow.commands.winner import find_winner, tuning_tags
from mer_mlflow.crossval.executors import EpochEnded, InlineExecutor, ProcessExecutor
from mer_mlflow.crossval.metrics import OBJECTIVE, SCORES, Summary
from mer_mlflow.crossval.results import CHANGED, CrossValidation
from mer_mlflow.crossval.setting import gather, gather_probes
from mer_mlflow.crossval.validation import validate
from mer_mlflow.experiments import Experiment, Resolved, resolve
from mer_mlflow.methods import get_method
from mer_mlflow.progress import progress
from mer_mlflow.representations import open_store
from mer_mlflow.training import Method

if TYPE_CHECKING:
    from mer_mlflow.studies.estimates import Cost
    from mer_mlflow.tracking import RunTree

ESTIMATE_SECONDS = 10.0
"""Time during which a failing request for a better estimate is repeated."""


def train(experiment: Experiment) -> int:
    """Cross-validate a methodology and track it.

    Parameters
    ----------
    experiment : the requested experiment

    Returns
    -------
    exit code: 0, or 3 if a fold failed

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    UndeliveredError
        If all folds are done, but the tracking server has not accepted all results.
    NotInEffectError
        If this process does not use the requested arithmetic.
    """
    require(experiment.arithmetic)
    name = announce_dataset(experiment.dataset, experiment.data_root)
    get_method(experiment.method)
    clips, source = announced_clips(name, experiment.data_root, av_scale=experiment.av_scale)
    winner = find_winner(experiment, dataset=name)
    resolved = resolve(experiment, clips, winner=winner)
    setting = resolved.setting
    announce_protocol(setting, profile=resolved.profile)
    announce_method(setting, chosen=experiment.features)
    if setting.choice is not None:
        names = ", ".join(setting.choice.names)
        print(f"nested: {names} are chosen by a search within each training set")
    from mer_mlflow.tracking import RunTree, adopt_trial, schema

    tuned_by = tuning_tags(experiment, winner)
    keeps_what_it_has = experiment.test_curve or bool(experiment.probe)
    with progress("representations") as clip_progress:
        examples = gather(setting, store=open_store(), on_progress=clip_progress)
        probes = gather_probes(
            setting, resolved.probes, store=open_store(), on_progress=clip_progress
        )
    tags = {schema.PROFILE: resolved.profile, **tuned_by}
    with RunTree(setting, tags=tags, source=source) as runs:
        _announce_continued(runs, keeps_what_it_has=keeps_what_it_has)
        _announce_time(runs, resolved)
        with progress(f"{experiment.method} folds") as advance:
            advance(runs.n_adopted, len(setting.plan.splits))
            runs.on_fold = lambda done, total, event: advance(done, total)
            runs.on_epoch = lambda done, total, event: advance(done, total, _epoch(event))
            validation = validate(
                setting,
                examples,
                executor=resolved.executor,
                test_curve=experiment.test_curve,
                probes=probes,
                listener=runs,
            )
        if runs.duplicate_of is None:
            runs.conclude(validation)
        else:
            runs.illustrate(validation)
        _print_outcome(validation)
    if runs.duplicate_of is not None:
        adopt_trial(runs.duplicate_of, tuned_by)
        print(f"nothing was run: run {runs.duplicate_of} is the same and complete")
    print_where(runs.duplicate_of or runs.run_id, runs.experiment_id, view=LEADERBOARD)
    return OK if validation.is_complete else INCOMPLETE


def _announce_continued(runs: RunTree, *, keeps_what_it_has: bool) -> None:
    if runs.n_adopted:
        print(f"{runs.n_adopted} folds were already done", flush=True)
        if keeps_what_it_has:
            print("test_curve and probe: those folds are not changed")
    for message in runs.warnings:
        print(f"warning: {message}")


def _announce_time(runs: RunTree, resolved: Resolved) -> None:
    """Print the estimated time of the folds, from finished folds of the method if there are any."""
    from mer_mlflow.studies.estimates import declared_cost, estimate, load_of

    setting, executor = resolved.setting, resolved.executor
    n_folds = len(setting.plan.splits) - runs.n_adopted
    if not n_folds or not isinstance(executor, InlineExecutor | ProcessExecutor):
        return
    n_workers = executor.workers if isinstance(executor, ProcessExecutor) else 1
    cost = _known_cost(runs.experiment_id, setting.method) or declared_cost(setting.method)
    time = estimate(load_of(setting), cost, n_folds=n_folds, n_workers=n_workers)
    print(
        f"estimate: {time} for {n_folds} folds, {n_workers} at once (from {time.source})",
        flush=True,
    )


def _known_cost(experiment: str, method: Method) -> Cost | None:
    """Return the cost in finished folds; None if the server does not say, which stops nothing."""
    from mlflow import MlflowClient

    from mer_mlflow.studies.evidence import latest_cost
    from mer_mlflow.tracking.outage import retry

    try:
        return retry(lambda: latest_cost(MlflowClient(), experiment, method), most=ESTIMATE_SECONDS)
    except Exception:  # an answer may also be broken
        return None


def _epoch(event: EpochEnded) -> str:
    stage = f" of {event.epoch.stage}" if event.epoch.stage else ""
    return f"fold {event.job.split.id}: epoch {event.epoch.epoch}{stage}"


def _print_outcome(validation: CrossValidation) -> None:
    from mer_mlflow.tracking.notes import interval_text

    plan = validation.setting.plan
    if validation.is_complete:
        for name in SCORES:
            print(f"  {name:20} {_score(validation.summary[name])}")
        for name, summary in validation.summary.items():
            if name.endswith("/f1_macro"):
                print(f"  {name:20} {summary.mean:7.2%} (stage)")
        for name in (f"{CHANGED}{each}" for each in validation.results[0].changed):
            share = float(validation.folds[name].mean())
            print(f"  {name:20} {share:7.2%} (test clips whose copy is predicted otherwise)")
        print(interval_text(validation))
        _print_published(validation)
        return
    print(f"incomplete: {len(validation.results)} of {len(plan.splits)} folds have a result")
    for failure in validation.failures[:3]:
        print(f"  fold {failure.job.split.id}: {failure.reason}", file=sys.stderr)
    print(f"{validation.advice}; their runs have the tracebacks")


def _score(summary: Summary) -> str:
    deviation = f" ± {summary.std:6.2%}" if summary.n_folds > 1 else ""
    low, high = summary.bounds
    interval = f"  [{low:6.2%}, {high:6.2%}]" if summary.has_interval else ""
    return f"{summary.mean:7.2%}{deviation}{interval}"


def _print_published(validation: CrossValidation) -> None:
    from mer_mlflow.tracking.notes import is_of_the_study

    setting = validation.setting
    scores = setting.method.published.get(setting.clips.name)
    if scores is None:
        return
    summary, f1 = validation.summary[OBJECTIVE], scores.f1 / 100
    low, high = summary.bounds
    where = ""
    if not is_of_the_study(setting):
        where = ", but in another setting than the study's"
    elif summary.has_interval:
        where = f", {'in' if low <= f1 <= high else 'outside of'} the interval"
    difference = f"{100 * (summary.mean - f1):+.2f} points"
    print(f"published macro F1: {f1:.2%}, here {summary.mean:.2%} ({difference}){where}")


def main(arguments: Sequence[str]) -> int:
    """Run ``train``."""
    return train(Experiment(**experiment_values((*METHOD, *TRAIN), arguments)))
