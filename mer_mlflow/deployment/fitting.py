"""Fitting a methodology to all clips of a dataset: a job without test clips, and its folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mer_mlflow.crossval.executors import (
    EpochEnded,
    Executor,
    FoldEvent,
    FoldFailed,
    FoldFinished,
)
from mer_mlflow.crossval.jobs import Epoch, FoldResult, Job
from mer_mlflow.crossval.setting import Setting, task_of
from mer_mlflow.crossval.splits import Split, derived_seed
from mer_mlflow.deployment.calibration_figure import reliability_figure
from mer_mlflow.deployment.card import model_card
from mer_mlflow.deployment.evidence import Evidence
from mer_mlflow.deployment.trained import FITTED, write_model
from mer_mlflow.errors import IncompleteError, ParameterError
from mer_mlflow.representations import Examples

CARD, RELIABILITY = "README.md", "reliability.png"
"""Files of a model's folder: the model card, and the figure of its calibration."""
EXTRACTED_PRICE = "svm has a macro F1 of 71.4 with it on Original-4QAED, and 75.8 with the tables"


def require_audio(setting: Setting) -> None:
    """Check that all inputs of a setting are computed from audio.

    Raises
    ------
    ParameterError
        If the setting reads a published feature table, whose values no new song has.
    """
    if setting.features == "published":
        raise ParameterError(
            f"{setting.method.name} reads a published feature table, which a new song is not in; "
            f"give features=extracted ({EXTRACTED_PRICE})"
        )


def fit_model(
    setting: Setting,
    examples: Examples,
    *,
    executor: Executor,
    folder: Path,
    evidence: Evidence | None = None,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> FoldResult:
    """Fit a methodology to all clips, and write the folder of the model with its card.

    Parameters
    ----------
    setting : what is trained, and on which clips
    examples : the setting's inputs of all clips
    executor : runs the training
    folder : existing folder
    evidence : cross-validation of the setting, None if there is none
    on_epoch : called after every epoch

    Returns
    -------
    epochs, times and chosen hyperparameters of the training

    Raises
    ------
    IncompleteError
        If the training failed.
    UntrainableError
        If it cannot be run, however often it is tried.
    """
    result = fit_all(setting, examples, executor=executor, folder=folder, on_epoch=on_epoch)
    (folder / CARD).write_text(model_card(setting, evidence, chosen=result.chosen))
    facts: dict[str, Any] = {"dataset": _dataset_facts(setting)}
    if evidence is not None:
        title = f"{setting.method.title} on {setting.clips.name}"
        reliability_figure(evidence.calibration, title=title).savefig(folder / RELIABILITY, dpi=120)
        facts["validation"] = {
            "run": evidence.validation.run_id,
            "summary": str(evidence),
            "metrics": evidence.metrics,
        }
    temperature = 1.0 if evidence is None else evidence.calibration.temperature
    write_model(
        folder,
        setting,
        chosen=result.chosen,
        temperature=temperature,
        facts=facts,
        examples=examples,
    )
    return result


def _dataset_facts(setting: Setting) -> dict[str, Any]:
    clips = setting.clips
    return {"name": clips.name, "digest": clips.digest, "n_clips": len(clips)}


def fit_all(
    setting: Setting,
    examples: Examples,
    *,
    executor: Executor,
    folder: Path,
    on_epoch: Callable[[Epoch], None] = lambda epoch: None,
) -> FoldResult:
    """Fit a methodology to all clips, and save the fitted model.

    The seed is that of the first fold of a cross-validation.

    Parameters
    ----------
    setting : what is trained, and on which clips
    examples : the setting's inputs of all clips
    executor : runs the training
    folder : existing folder; the fitted model is written below ``fitted``
    on_epoch : called after every epoch

    Returns
    -------
    epochs, times and chosen hyperparameters of the training

    Raises
    ------
    IncompleteError
        If the training failed.
    UntrainableError
        If it cannot be run, however often it is tried.
    """
    (folder / FITTED).mkdir()
    split = Split(
        repeat=1,
        fold=1,
        train=np.arange(len(setting.clips)),
        test=np.array([], dtype=np.int64),
        seed=derived_seed(setting.plan.seed, 1, 1),
    )
    results: list[FoldResult] = []

    def on_event(event: FoldEvent) -> None:
        match event:
            case EpochEnded():
                on_epoch(event.epoch)
            case FoldFinished():
                results.append(event.result)
            case FoldFailed():
                raise IncompleteError(f"the training failed: {event.reason}")

    task = replace(task_of(setting, examples), model_folder=folder / FITTED)
    job = Job(split=split, hyperparameters=setting.hyperparameters)
    executor.run(task, [(job,)], on_event=on_event)
    return results[0]
