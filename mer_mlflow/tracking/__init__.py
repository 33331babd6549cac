"""Tracking: the MLflow runs of a cross-validation, and search of runs."""

from mer_mlflow.tracking.presence import active_run, close_abandoned, describe_abandoned, heartbeat
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
    "active_run",
    "adopt_trial",
    "check_store",
    "close_abandoned",
    "current_experiment",
    "describe_abandoned",
    "experiment_id",
    "heartbeat",
    "is_untouched",
    "open_run",
    "search",
    "write",
]
