"""Evidence for a model: the cross-validation of its setting, and the calibration found there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from mlflow import MlflowClient

from mer_mlflow.crossval.metrics import SCORES, Summary, with_interval
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.calibration import Calibration, calibrate
from mer_mlflow.reporting.validations import Validation, read_validations
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.metric_names import parent_metric

GROUPED = "grouped"
CALIBRATION = "calibration/"
"""Section of the metrics of calibration."""
SAME = (schema.DIGEST, schema.SECONDS, schema.FEATURES, schema.AUGMENTATIONS, schema.SEED)
"""Parameters, besides hyperparameters, that two cross-validations of one setting share."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Evidence:
    """What is known about the scores of a model.

    Attributes
    ----------
    validation : complete cross-validation of the model's setting
    grouped : complete cross-validation of the same setting in artist-grouped folds, None if there
        is none
    calibration : calibration of the out-of-fold probabilities
    """

    validation: Validation
    grouped: Validation | None
    calibration: Calibration

    @property
    def metrics(self) -> dict[str, float]:
        """Mean and interval of each score, and calibration, by name."""
        found: dict[str, float] = {}
        for name in SCORES:
            found |= _bounded(name, self.validation.summary(name))
        if self.grouped is not None:
            found |= _bounded(f"{GROUPED}_f1_macro", self.grouped.summary())
        found |= {f"{name}_raw": value for name, value in self.calibration.before.items()}
        found |= self.calibration.after
        return found | {"temperature": self.calibration.temperature}

    @property
    def logged_metrics(self) -> dict[str, float]:
        """The same metrics by their names in runs: in sections, as in the runs of parents."""
        scores = {name for name in self.metrics if name.endswith(("_mean", "_low", "_high"))}
        return {
            parent_metric(name) if name in scores else f"{CALIBRATION}{name}": value
            for name, value in self.metrics.items()
        }

    def __str__(self) -> str:
        return f"macro F1 {with_interval(self.validation.summary())}"


def find_evidence(client: MlflowClient, experiment: str, setting: Setting) -> Evidence | None:
    """Return the evidence for a model of a setting, None if it was not cross-validated completely.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment that is searched
    setting : setting of the model

    Raises
    ------
    TrackingError
        If the server does not respond.
    """
    complete = read_validations(
        client,
        [experiment],
        methods=(setting.method.name,),
        datasets=(setting.clips.name,),
    ).complete
    own = [item for item in complete if item.identity == setting.identity]
    if not own:
        return None
    validation = max(own, key=lambda item: item.n_expected)
    same = [
        item
        for item in complete
        if item.protocol == GROUPED and _facts(item.params) == _facts(validation.params)
    ]
    return Evidence(
        validation=validation,
        grouped=max(same, key=lambda item: item.n_expected, default=None),
        calibration=_calibration(validation.predictions),
    )


def _bounded(name: str, summary: Summary) -> dict[str, float]:
    low, high = summary.bounds
    values = {"mean": summary.mean, "low": low, "high": high}
    return {f"{name}_{key}": value for key, value in values.items() if np.isfinite(value)}


def _facts(params: Mapping[str, str]) -> dict[str, str]:
    names: Iterable[str] = (
        name for name in params if name in SAME or name.startswith((schema.HP, schema.NESTED))
    )
    return {name: params[name] for name in names if params[name]}


def _calibration(predictions: pd.DataFrame) -> Calibration:
    labels = {name: label for label, name in enumerate(QUADRANTS)}
    first = predictions.drop_duplicates("clip").set_index("clip")["split"]
    folds = np.unique(predictions["clip"].map(first).to_numpy(dtype=str), return_inverse=True)[1]
    return calibrate(
        predictions[[f"p_{name}" for name in QUADRANTS]].to_numpy(dtype=np.float64),
        np.asarray(predictions["quadrant"].map(labels), dtype=np.int64),
        folds=folds,
    )
