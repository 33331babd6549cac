"""Common parts of methodologies: declaration, hyperparameters, training loops, estimators."""

from mer_mlflow.training.hyperparameters import Role, Space, Value, converted, searchable
from mer_mlflow.training.method import (
    EpochRecord,
    FittedModel,
    Illustrated,
    Illustration,
    Method,
    OnEpoch,
    Predict,
    Prediction,
    Scores,
)
from mer_mlflow.training.requirements import require_framework

__all__ = [
    "EpochRecord",
    "FittedModel",
    "Illustrated",
    "Illustration",
    "Method",
    "OnEpoch",
    "Predict",
    "Prediction",
    "Role",
    "Scores",
    "Space",
    "Value",
    "converted",
    "require_framework",
    "searchable",
]
