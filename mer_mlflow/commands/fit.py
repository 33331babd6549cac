"""fit: train a methodology on all clips of a dataset, and log the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

from mer_mlflow._version import __version__
from mer_mlflow.arithmetic import require
from mer_mlflow.commands.announcement import announce_dataset, announce_method, announced_clips
from mer_mlflow.commands.command import OK, print_where
from mer_mlflow.commands.parameters import FIT, METHOD, SEARCHED, experiment_values
from mer_mlflow.commands.winner import find_winner, tuning_tags
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.setting import Setting, gather
from mer_mlflow.experiments import Experiment, Resolved, resolve
from mer_mlflow.methods import get_method
from mer_mlflow.progress import progress
from mer_mlflow.representations import Examples, open_store
from mer_mlflow.scratch import scratch_folder
from mer_mlflow.training.hyperparameters import Role, values_of


def fit(experiment: Experiment, *, register: bool = False) -> int:
    """Fit a methodology to all clips of a dataset, and log the model to a run.

    Parameters
    ----------
    experiment : method, dataset and hyperparameters; protocol, folds and repeats are those of the
        cross-validation that the model is linked to
    register : whether the model becomes a version of the registered model ``mer-<method>``

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If a parameter or the data cannot be used, or the training failed.
    """
    from mer_mlflow.deployment.fitting import require_audio

    require(experiment.arithmetic)
    name = announce_dataset(experiment.dataset, experiment.data_root)
    get_method(experiment.method)
    clips, _ = announced_clips(name, experiment.data_root)
    winner = find_winner(experiment, dataset=name)
    resolved = resolve(experiment, clips, winner=winner)
    require_audio(resolved.setting)
    announce_method(resolved.setting, chosen=experiment.features)
    with progress("representations") as clip_progress:
        examples = gather(resolved.setting, store=open_store(), on_progress=clip_progress)
    return _fit(resolved, examples, tags=tuning_tags(experiment, winner), register=register)


def _fit(resolved: Resolved, examples: Examples, *, tags: Mapping[str, str], register: bool) -> int:
    import mlflow
    from mlflow import MlflowClient

    from mer_mlflow.deployment.logging import log_model
    from mer_mlflow.deployment.serving import ARTIFACT
    from mer_mlflow.deployment.trained import write_model
    from mer_mlflow.tracking import Kind, active_run, close_abandoned, open_run, schema, write
    from mer_mlflow.tracking.items import Item, Metric, epoch_metrics, setting_params

    setting = resolved.setting
    client = MlflowClient()
    run = open_run(client, name=f"fit {setting.method.name} {setting.clips.name}")
    run_id, experiment = str(run.info.run_id), str(run.info.experiment_id)
    validated_by = _validation(client, experiment, setting)
    tags = {
        **tags,
        schema.METHOD: setting.method.name,
        schema.DATASET: setting.clips.name,
        schema.IDENTITY: setting.identity,
        **validated_by,
    }
    own = {key.removeprefix(schema.TAGS): value for key, value in tags.items()}
    with active_run(client, run_id, kind=Kind.FIT, **own), scratch_folder() as scratch:
        close_abandoned(client, experiment, kind=Kind.FIT, but=run_id)
        folder = Path(scratch) / ARTIFACT  # its name is that of the artifact
        folder.mkdir()
        result = _train(resolved, examples, folder)
        facts = {"dataset": [setting.clips.name, setting.clips.digest], "made_by": __version__}
        write_model(folder, setting, chosen=result.chosen, facts=facts, examples=examples)
        items: list[Item] = [*setting_params(setting)]
        items.append(Metric(key="fit_seconds", value=result.fit_seconds))
        items += [metric for epoch in result.epochs for metric in epoch_metrics(epoch)]
        write(client, run_id, items)
        registered = f"mer-{setting.method.name}" if register else None
        with mlflow.start_run(run_id=run_id):
            info = log_model(folder, setting.method, tags=tags, registered_name=registered)
        client.set_terminated(run_id, "FINISHED")
    print(f"fitted to {len(setting.clips)} clips in {result.fit_seconds:.1f} s")
    _print_model(info.model_uri, registered, info.registered_model_version, validated_by)
    print_where(run_id, experiment)
    return OK


def _train(resolved: Resolved, examples: Examples, folder: Path) -> FoldResult:
    from mer_mlflow.deployment.fitting import fit_all

    most_epochs = sum(values_of(resolved.setting.hyperparameters, Role.EPOCHS).values())
    numbers = count(1)
    with progress("epochs") as advance:
        return fit_all(
            resolved.setting,
            examples,
            executor=resolved.executor,
            folder=folder,
            on_epoch=lambda epoch: advance(number := next(numbers), max(number, most_epochs)),
        )


def _validation(client: Any, experiment: str, setting: Setting) -> dict[str, str]:
    """Return tags with the complete cross-validation of the same setting, if there is one."""
    from mer_mlflow.tracking import Kind, Status, schema, search

    found = search(client, experiment, kind=Kind.PARENT, identity=setting.identity)
    for run in found:
        metrics = run.data.metrics
        if run.data.tags.get(schema.STATUS) == Status.COMPLETE and "f1_macro_mean" in metrics:
            bounds = [metrics.get(f"f1_macro_{each}") for each in ("low", "high")]
            interval = "" if None in bounds else f" [{bounds[0]:.2%}, {bounds[1]:.2%}]"
            return {
                schema.VALIDATED_BY: run.info.run_id,
                schema.VALIDATION: f"macro F1 {metrics['f1_macro_mean']:.2%}{interval}",
            }
    return {schema.VALIDATION: "not validated"}


def _print_model(
    address: str, registered: str | None, number: object, validated_by: Mapping[str, str]
) -> None:
    from mer_mlflow.tracking import schema

    print(f"model: {address}")
    if registered is not None:
        print(f"registered: models:/{registered}/{number} (alias candidate)")
    run_id = validated_by.get(schema.VALIDATED_BY)
    if run_id is None:
        print("not validated: train with the same parameters gives its scores")
    else:
        print(f"validated by run {run_id}: {validated_by[schema.VALIDATION]}")


def main(arguments: Sequence[str]) -> int:
    """Run ``fit``."""
    given = experiment_values((*METHOD, *SEARCHED, *FIT), arguments)
    register = given.pop("register")
    return fit(Experiment(**given), register=register)
