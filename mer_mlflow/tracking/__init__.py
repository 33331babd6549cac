"""Tracking: the MLflow run tree of a cross-validation, and how runs are found again."""

import os

from mer_mlflow.tracking.run_tree import RunTree
from mer_mlflow.tracking.runs import (
    Kind,
    Status,
    check_store,
    experiment_id,
    open_run,
    search,
)
from mer_mlflow.tracking.writer import write

# Printing a run's address costs a request a fold and tears the progress bar apart.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

__all__ = [
    "Kind",
    "RunTree",
    "Status",
    "check_store",
    "experiment_id",
    "open_run",
    "search",
    "write",
]
