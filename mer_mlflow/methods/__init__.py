"""Methodologies: every module of this package without an underscore declares one, ``METHOD``."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from mer_mlflow.errors import ParameterError
from mer_mlflow.methods._method import (
    EpochRecord,
    FittedModel,
    Illustrated,
    Illustration,
    Method,
    OnEpoch,
    Predict,
    Prediction,
    Scores,
    Space,
    Value,
    converted,
)
from mer_mlflow.methods._requirements import require_framework

__all__ = [
    "EpochRecord",
    "FittedModel",
    "Illustrated",
    "Illustration",
    "Method",
    "OnEpoch",
    "Predict",
    "Prediction",
    "Scores",
    "Space",
    "Value",
    "converted",
    "get_method",
    "method_names",
    "require_framework",
]


@cache
def method_names() -> tuple[str, ...]:
    """Names of the registered methodologies."""
    modules = (info.name for info in pkgutil.iter_modules(__path__))
    return tuple(sorted(name for name in modules if not name.startswith("_")))


def get_method(name: str) -> Method:
    """Look up a methodology; only its own module is imported.

    Raises
    ------
    ParameterError
        If no methodology has this name.

    Examples
    --------
    >>> get_method("svm").title
    'SVM'
    """
    if name not in method_names():
        raise ParameterError(f"method={name}: unknown; methods are {', '.join(method_names())}")
    method: Method = import_module(f"{__name__}.{name}").METHOD
    return method
