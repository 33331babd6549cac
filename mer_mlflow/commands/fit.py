"""fit: train a methodology on all clips of a dataset, and log the model."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from mer_mlflow.arithmetic import require
from mer_mlflow.commands.announcement import (
    announce_dataset,
    announce_method,
    announced_clips,
    print_delivered,
)
from mer_mlflow.commands.command import OK, print_where
from mer_mlflow.commands.parameters import FIT, METHOD, SEARCHED, experiment_values
from mer_mlflow.commands.train import train
from mer_mlflow.commands.winner import find_winner, tuning_tags
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.setting import gather
from mer_mlflow.experiments import Experiment, Resolved, resolve
from mer_mlflow.methods import get_method
from mer_mlflow.progress import progress
from mer_mlflow.representations import Examples, open_store
from mer_mlflow.scratch import scratch_folder
from mer_mlflow.training.hyperparameters import Role, values_of

if TYPE_CHECKING:
    from mer_mlflow.deployment.delivery import Delivered
    from mer_mlflow.deployment.evidence import Evidence

RUN, EXPERIMENT = "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID"
"""Environment variables of MLflow for the run of a command and its experiment."""


def fit(experiment: Experiment, *, register: bool = False, validate: bool = False) -> int:
    """Fit a methodology to all clips of a dataset, and log the model to a run.

    Parameters
    ----------
    experiment : method, dataset and hyperparameters; protocol, folds and repeats are those of the
        cross-validation that the model is linked to
    register : whether the model becomes a version of the registered model ``mer-<method>``
    validate : whether to cross-validate the setting first, if that is not complete yet

    Returns
    -------
    exit code: 0, or 3 if a fold of that cross-validation failed

    Raises
    ------
    MerError
        If a parameter or the data cannot be used, or the training failed.
    """
    from mer_mlflow.deployment.fitting import require_audio

    require(experiment.arithmetic)
    if validate:
        code = _validate(experiment)
        if code != OK:
            return code
    name = announce_dataset(experiment.dataset, experiment.data_root)
    get_method(experiment.method)
    clips, _ = announced_clips(name, experiment.data_root, av_scale=experiment.av_scale)
    winner = find_winner(experiment, dataset=name)
    resolved = resolve(experiment, clips, winner=winner)
    require_audio(resolved.setting)
    announce_method(resolved.setting, chosen=experiment.features)
    with progress("representations") as clip_progress:
        examples = gather(resolved.setting, store=open_store(), on_progress=clip_progress)
    return _fit(resolved, examples, tags=tuning_tags(experiment, winner), register=register)


def _validate(experiment: Experiment) -> int:
    """Cross-validate in a run of its own, because ``mlflow run`` created that of this command."""
    with _without_run():
        return train(experiment)


@contextlib.contextmanager
def _without_run() -> Iterator[None]:
    """Hide the run that ``mlflow run`` created, but stay in its experiment."""
    from mlflow import MlflowClient

    from mer_mlflow.tracking import check_store, current_experiment

    given = os.environ.get(RUN)
    if given is None:
        yield
        return
    check_store()
    before = os.environ.get(EXPERIMENT)
    os.environ[EXPERIMENT] = current_experiment(MlflowClient())
    del os.environ[RUN]
    try:
        yield
    finally:
        os.environ[RUN] = given
        del os.environ[EXPERIMENT]
        os.environ.update({} if before is None else {EXPERIMENT: before})


def _fit(resolved: Resolved, examples: Examples, *, tags: Mapping[str, str], register: bool) -> int:
    from mlflow import MlflowClient

    from mer_mlflow.deployment.delivery import deliver, keep
    from mer_mlflow.deployment.evidence import find_evidence
    from mer_mlflow.deployment.serving import ARTIFACT
    from mer_mlflow.tracking import Kind, active_run, close_abandoned, open_run, schema, write
    from mer_mlflow.tracking.items import Item, Metric, epoch_metrics, setting_params
    from mer_mlflow.tracking.models import close_unfinished
    from mer_mlflow.tracking.outage import outage_in_one_line

    setting = resolved.setting
    client = MlflowClient()
    run = open_run(client, name=f"fit {setting.method.name} {setting.clips.name}")
    run_id, experiment = str(run.info.run_id), str(run.info.experiment_id)
    evidence = find_evidence(client, experiment, setting)
    tags = {
        **tags,
        schema.METHOD: setting.method.name,
        schema.DATASET: setting.clips.name,
        schema.IDENTITY: setting.identity,
        **_evidence_tags(evidence),
    }
    own = {key.removeprefix(schema.TAGS): value for key, value in tags.items()}
    with (
        outage_in_one_line(),
        active_run(client, run_id, kind=Kind.FIT, **own),
        scratch_folder() as scratch,
    ):
        close_abandoned(client, experiment, kind=Kind.FIT, but=run_id)
        close_unfinished(client, experiment, but=run_id)
        folder = Path(scratch) / ARTIFACT  # its name is that of the artifact
        folder.mkdir()
        result = _train(resolved, examples, folder, evidence=evidence)
        params = setting_params(setting)
        items: list[Item] = [*params]
        items.append(Metric(key="fit_seconds", value=result.fit_seconds))
        items += [metric for epoch in result.epochs for metric in epoch_metrics(epoch)]
        write(client, run_id, items)
        kept = keep(
            folder,
            client,
            run_id=run_id,
            experiment_id=experiment,
            tags=tags,
            params={item.key: item.value for item in params},
            metrics={} if evidence is None else evidence.logged_metrics,
            registered_name=f"mer-{setting.method.name}" if register else None,
        )
        delivered = deliver(client, kept)
    print(f"fitted to {len(setting.clips)} clips in {result.fit_seconds:.1f} s")
    _print_model(delivered, evidence)
    print_where(run_id, experiment)
    return OK


def _train(
    resolved: Resolved, examples: Examples, folder: Path, *, evidence: Evidence | None
) -> FoldResult:
    from mer_mlflow.deployment.fitting import fit_model

    most_epochs = sum(values_of(resolved.setting.hyperparameters, Role.EPOCHS).values())
    numbers = count(1)
    with progress("epochs") as advance:
        return fit_model(
            resolved.setting,
            examples,
            executor=resolved.executor,
            folder=folder,
            evidence=evidence,
            on_epoch=lambda epoch: advance(number := next(numbers), max(number, most_epochs)),
        )


def _evidence_tags(evidence: Evidence | None) -> dict[str, str]:
    from mer_mlflow.tracking import schema

    if evidence is None:
        return {schema.VALIDATION: "not validated"}
    return {
        schema.VALIDATED_BY: evidence.validation.run_id,
        schema.VALIDATION: str(evidence),
    }


def _print_model(delivered: Delivered, evidence: Evidence | None) -> None:
    print_delivered(delivered)
    if evidence is None:
        print("not validated: the same command with -P validate=true cross-validates it first")
        return
    calibration = evidence.calibration
    print(f"validated by run {evidence.validation.run_id}: {evidence}")
    print(
        f"calibration error: {calibration.before['ece']:.1%} as predicted, "
        f"{calibration.after['ece']:.1%} with temperature {calibration.temperature:.2f}"
    )


def main(arguments: Sequence[str]) -> int:
    """Run ``fit``."""
    given = experiment_values((*METHOD, *SEARCHED, *FIT), arguments)
    own = {item.name: given.pop(item.name) for item in FIT}
    return fit(Experiment(**given), **own)
