"""Tables of a complete cross-validation, read from its run and checked for consistency."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.crossval.metrics import SCORES, scores_of_counts
from mer_mlflow.crossval.results import CHANGED
from mer_mlflow.crossval.splits import PROTOCOLS, is_fixed, split_id
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.errors import RunDataError
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.items import SUM_TOLERANCE
from mer_mlflow.tracking.reading import MOST_ROWS, Column, artifact, read_table

MOST_EPOCHS = 1_000_000
TOLERANCE = 1e-6
"""Tolerance of scores that are computed again."""

TEXT = Column(is_text=True)
SHARE = Column(low=0, high=1 + TOLERANCE)
AMOUNT = Column(low=0)
COUNT = Column(low=0, high=MOST_EPOCHS, is_whole=True)
MEASURE = Column(has_gaps=True, is_optional=True)

FOLDS: Mapping[str, Column] = MappingProxyType(
    {
        "split": TEXT,
        **dict.fromkeys(SCORES, SHARE),
        "fit_seconds": AMOUNT,
        "peak_memory_mib": AMOUNT,
        "n_epochs": COUNT,
        "n_parameters": Column(low=0, is_whole=True, has_gaps=True, is_optional=True),
        CHANGED: Column(low=0, high=1 + TOLERANCE, has_gaps=True, is_optional=True),
    }
)
PREDICTIONS: Mapping[str, Column] = MappingProxyType(
    {
        **dict.fromkeys(("split", "clip", "quadrant", "predicted"), TEXT),
        **{f"p_{quadrant}": SHARE for quadrant in QUADRANTS},
    }
)
EPOCHS: Mapping[str, Column] = MappingProxyType(
    {
        **dict.fromkeys(("split", "stage"), TEXT),
        "epoch": Column(low=1, high=MOST_EPOCHS, is_whole=True),
        **dict.fromkeys(("train_loss", "train_accuracy", "test_loss", "test_accuracy"), MEASURE),
    }
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Expected shape of the tables, according to the run.

    Attributes
    ----------
    protocol : protocol of the splits
    n_splits, n_repeats : number of folds of a repetition, and of repetitions
    n_clips : number of clips of the dataset
    """

    protocol: str
    n_splits: int
    n_repeats: int
    n_clips: int


@dataclass(frozen=True, kw_only=True)
class Tables:
    """Tables of a cross-validation; empty if it is not complete.

    Attributes
    ----------
    folds : one row per fold
    predictions : one row per fold and test clip
    epochs : one row per fold and epoch; empty if there are no epochs
    """

    folds: pd.DataFrame = field(default_factory=pd.DataFrame)
    predictions: pd.DataFrame = field(default_factory=pd.DataFrame)
    epochs: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_tables(artifacts: str, shape: Shape) -> Tables:
    """Read the tables of a complete cross-validation.

    Parameters
    ----------
    artifacts : address of the run's artifacts
    shape : expected shape of the tables

    Raises
    ------
    RunDataError
        If a table is missing or invalid, or they are inconsistent with each other or the shape.
    MlflowException, OSError
        If a table cannot be downloaded.
    """
    n_folds = shape.n_splits * shape.n_repeats
    folds = _read(artifacts, schema.FOLDS_TABLE, FOLDS, n_folds)
    _check_folds(folds, shape)
    n_rows = shape.n_clips * shape.n_repeats
    predictions = _read(artifacts, schema.PREDICTIONS_TABLE, PREDICTIONS, n_rows)
    _check_predictions(predictions, shape)
    _check_scores(folds, predictions)
    epochs = pd.DataFrame()
    if folds["n_epochs"].any():
        epochs = _read(artifacts, schema.EPOCHS_TABLE, EPOCHS, int(folds["n_epochs"].sum()))
        _check_epochs(folds, epochs)
    return Tables(folds=folds, predictions=predictions, epochs=epochs)


def _read(artifacts: str, name: str, columns: Mapping[str, Column], most_rows: int) -> pd.DataFrame:
    with artifact(artifacts, name) as path:
        return read_table(path, name, columns, most_rows=min(most_rows, MOST_ROWS))


def _check_folds(folds: pd.DataFrame, shape: Shape) -> None:
    expected = {
        split_id(repeat, fold)
        for repeat in range(1, shape.n_repeats + 1)
        for fold in range(1, shape.n_splits + 1)
    }
    if len(folds) != len(expected) or set(folds["split"]) != expected:
        raise RunDataError(
            f"folds.parquet has not one row for each of the {shape.n_repeats} x {shape.n_splits} "
            "folds"
        )


def _check_predictions(predictions: pd.DataFrame, shape: Shape) -> None:
    name = schema.PREDICTIONS_TABLE
    for column in ("quadrant", "predicted"):
        unknown = sorted(set(predictions[column]) - set(QUADRANTS))
        if unknown:
            raise RunDataError(f"{name}, column {column}: {unknown[0][:20]!r} is not a quadrant")
    sums = predictions[[f"p_{quadrant}" for quadrant in QUADRANTS]].sum(axis=1)
    if (abs(sums - 1) > SUM_TOLERANCE).any():
        raise RunDataError(f"{name}: probabilities of a clip do not sum to 1")
    if (predictions.groupby("clip")["quadrant"].nunique() > 1).any():
        raise RunDataError(f"{name}: a clip has two quadrants")
    repeats = predictions["split"].str.partition("-")[0]
    if pd.DataFrame({"repeat": repeats, "clip": predictions["clip"]}).duplicated().any():
        raise RunDataError(f"{name}: a clip is tested twice in one repetition")
    tests_all = shape.protocol in PROTOCOLS and not is_fixed(shape.protocol)
    if tests_all and len(predictions) != shape.n_clips * shape.n_repeats:
        raise RunDataError(f"{name} does not test each of {shape.n_clips} clips in each repetition")


def _check_scores(folds: pd.DataFrame, predictions: pd.DataFrame) -> None:
    if set(predictions["split"]) != set(folds["split"]):
        raise RunDataError("predictions.parquet and folds.parquet have different splits")
    counts = _confusions(predictions, list(folds["split"]))
    for name, scores in scores_of_counts(counts).items():
        if not np.allclose(folds[name], scores, rtol=0, atol=TOLERANCE):
            raise RunDataError(f"{name} in folds.parquet differs from that of predictions.parquet")


def _confusions(predictions: pd.DataFrame, splits: list[str]) -> NDArray[np.int64]:
    """Count clips by split, true and predicted quadrant [shape=(n_splits, 4, 4)]."""
    n, size = len(QUADRANTS), len(splits)
    codes = pd.Categorical(predictions["split"], categories=splits).codes.astype(np.int64)
    for column in ("quadrant", "predicted"):
        codes = codes * n + pd.Categorical(predictions[column], categories=QUADRANTS).codes
    return np.bincount(codes, minlength=size * n * n).reshape(size, n, n)


def _check_epochs(folds: pd.DataFrame, epochs: pd.DataFrame) -> None:
    counted = epochs.groupby("split").size()
    expected = folds.set_index("split")["n_epochs"]
    if not counted.equals(expected[expected > 0].sort_index()):
        raise RunDataError("epochs.parquet and folds.parquet have different numbers of epochs")
    if epochs.duplicated(["split", "stage", "epoch"]).any():
        raise RunDataError("epochs.parquet has an epoch twice")
