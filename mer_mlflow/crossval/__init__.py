"""Cross-validation: split plans, fold jobs, executors and scores."""

from mer_mlflow.crossval.jobs import Epoch, FoldResult
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.crossval.splits import PROTOCOLS, Split, SplitPlan, split_plan
from mer_mlflow.crossval.validation import cross_validate

__all__ = [
    "PROTOCOLS",
    "CrossValidation",
    "Epoch",
    "FoldResult",
    "Setting",
    "Split",
    "SplitPlan",
    "cross_validate",
    "split_plan",
]
