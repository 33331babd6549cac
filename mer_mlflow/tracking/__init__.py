"""Tracking: the MLflow run tree of a cross-validation, and how runs are found again."""

from mer_mlflow.tracking.presence import abandoned_words, announced, at_work, close_abandoned
from mer_mlflow.tracking.run_tree import RunTree
from mer_mlflow.tracking.runs import (
    Kind,
    Status,
    adopt_trial,
    check_store,
    current_experiment,
    experiment_id,
    is_untouched,
    open_run,
    search,
)
from mer_mlflow.tracking.writer import write

__all__ = [
    "Kind",
    "RunTree",
    "Status",
    "abandoned_words",
    "adopt_trial",
    "announced",
    "at_work",
    "check_store",
    "close_abandoned",
    "current_experiment",
    "experiment_id",
    "is_untouched",
    "open_run",
    "search",
    "write",
]
