"""Results of a cross-validation: scores, predictions and histories of its folds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from mer_mlflow.crossval.executors import FoldFailed
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.metrics import SCORES, Summary, score, summarise
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.crossval.splits import FIXED_SPLITS
from mer_mlflow.datasets.clips import QUADRANTS, Clips
from mer_mlflow.errors import DivergenceError, IncompleteError, listing

CHANGED = "changed/"
"""Prefix of a transform's name: share of test clips whose copy is put into another quadrant."""
NOTES = "notes/"
"""Prefix of what else there is to be known of a trained model, by its names."""


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Results of a cross-validation.

    Attributes
    ----------
    setting : what was cross-validated
    results : of the finished folds, in the plan's order
    failures : folds that ended without a result
    """

    setting: Setting
    results: tuple[FoldResult, ...]
    failures: tuple[FoldFailed, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every fold of the plan has a result."""
        return len(self.results) == len(self.setting.plan.splits)

    @cached_property
    def folds(self) -> pd.DataFrame:
        """Table with a row a fold: split, scores, times, memory."""
        return pd.DataFrame([fold_row(result) for result in self.results])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Table with a row for each fold's test clip: quadrants and probabilities."""
        frames = [prediction_table(result, self.setting.clips) for result in self.results]
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def summary(self) -> dict[str, Summary]:
        """Mean, deviation and corrected interval of every score over the folds.

        Scores of a hybrid's stages have their name before them: ``audio/f1_macro``.

        Raises
        ------
        IncompleteError
            If a fold has no result: what is there must not pass for the whole.
        """
        if not self.is_complete:
            raise IncompleteError(self.shortage)
        plan = self.setting.plan
        share = None if plan.protocol in FIXED_SPLITS else plan.test_share
        return {
            name: summarise(self.folds[name].to_numpy(dtype=np.float64), test_share=share)
            for name in self.folds.columns
            if name.rpartition("/")[2] in SCORES
        }

    @property
    def shortage(self) -> str:
        """How many folds have a result, and why others have none."""
        reasons = listing([f"{item.job.split.id}: {item.reason}" for item in self.failures], most=3)
        n_done, n_folds = len(self.results), len(self.setting.plan.splits)
        return f"{n_done} of {n_folds} folds have a result ({reasons})"

    @property
    def advice(self) -> str:
        """What to do about folds without a result."""
        certain = [item for item in self.failures if item.is_certain]
        if len(certain) < len(self.failures) or not certain:
            late = any(item.is_late for item in self.failures)
            words = "give the same command again to run the missing folds"
            return f"{words}, with a larger fold_timeout" if late else words
        diverged = all(item.reason.startswith(DivergenceError.__name__) for item in certain)
        change = "a smaller learning_rate" if diverged else "other hyperparameters or data"
        return f"the same command would fail again, as each of these folds did twice: try {change}"


def fold_row(result: FoldResult) -> dict[str, float | str]:
    """Row of a fold: its split, scores (a stage's as ``stage/score``), seconds, memory [MiB]."""
    repeat, fold = (int(part[1:]) for part in result.split_id.split("-"))
    row: dict[str, float | str] = {"split": result.split_id, "repeat": repeat, "fold": fold}
    row |= score(result.true, result.prediction.quadrants)
    for stage, probabilities in result.prediction.stages.items():
        scores = score(result.true, probabilities.argmax(axis=1))
        row |= {f"{stage}/{name}": value for name, value in scores.items()}
    row |= {
        "fit_seconds": result.fit_seconds,
        "predict_seconds": result.predict_seconds,
        "peak_memory_mib": result.peak_memory,
        "n_epochs": len(result.epochs),
    }
    if result.n_parameters is not None:
        row["n_parameters"] = result.n_parameters
    row |= {f"{CHANGED}{name}": share for name, share in result.changed.items()}
    row |= {f"{NOTES}{name}": number for name, number in result.illustration.numbers.items()}
    row |= {f"hp.{name}": value for name, value in result.chosen.items()}
    return row


def prediction_table(result: FoldResult, clips: Clips) -> pd.DataFrame:
    """Table with a row a test clip: split, clip, true and predicted quadrant, probabilities.

    The probabilities of a hybrid's stages have their name before them: ``audio/p_Q1``.
    """
    prediction = result.prediction
    columns: dict[str, Any] = {
        "split": result.split_id,
        "clip": [clips.ids[i] for i in result.test],
        "quadrant": [QUADRANTS[label] for label in result.true],
        "predicted": [QUADRANTS[label] for label in prediction.quadrants],
    }
    for prefix, probabilities in (
        ("", prediction.probabilities),
        *((f"{stage}/", values) for stage, values in prediction.stages.items()),
    ):
        columns |= {f"{prefix}p_{name}": probabilities[:, k] for k, name in enumerate(QUADRANTS)}
    return pd.DataFrame(columns)
