"""Configuration of MLflow's client."""

from __future__ import annotations

import logging
import os

from mer_mlflow.tracking.answers import require_whole_answers


def configure() -> None:
    """Set the global configuration of MLflow's client; repeated calls have no effect."""
    # printing a run's address costs a request per fold, and output of MLflow breaks progress bars
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # it prints a traceback of each database error in addition to raising it
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    require_whole_answers()
