"""Tracking: the MLflow run tree of a cross-validation, and how runs are found again."""

import logging
import os

from mer_mlflow.tracking.answers import require_whole_answers
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

# A run's address costs a request a fold, and MLflow's words and bars tear our progress bar apart.
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
# It also prints a traceback for each error of a database, which it raises as well.
logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
require_whole_answers()

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
