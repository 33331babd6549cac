"""MLflow's client as this project uses it."""

from __future__ import annotations

import logging
import os

from mer_mlflow.tracking.answers import require_whole_answers


def settle() -> None:
    """Set what MLflow's client keeps for a whole process; done again, it changes nothing."""
    # a run's address costs a request a fold, and MLflow's words and bars break our progress bar
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # it prints a traceback for each error of a database, which it raises as well
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    require_whole_answers()
