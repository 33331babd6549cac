"""Experiments: requests of users, and their conversion to settings."""

from mer_mlflow.experiments.experiment import BEST, BEST_OF, TRAIN_ONLY, Experiment, Search
from mer_mlflow.experiments.parameter import Parameter, Role, declared, given_values, parameters
from mer_mlflow.experiments.resolve import (
    Resolved,
    ResolvedSearch,
    resolve,
    resolve_search,
    winner_study,
)

__all__ = [
    "BEST",
    "BEST_OF",
    "TRAIN_ONLY",
    "Experiment",
    "Parameter",
    "Resolved",
    "ResolvedSearch",
    "Role",
    "Search",
    "declared",
    "given_values",
    "parameters",
    "resolve",
    "resolve_search",
    "winner_study",
]
