"""Tracking: the MLflow run tree of a cross-validation, and how runs are found again."""

from mer_mlflow.tracking.run_tree import RunTree
from mer_mlflow.tracking.runs import Kind, Status, experiment_id, open_run, search
from mer_mlflow.tracking.writer import write

__all__ = ["Kind", "RunTree", "Status", "experiment_id", "open_run", "search", "write"]
