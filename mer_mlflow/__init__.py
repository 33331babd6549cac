"""Music Emotion Recognition methodologies compared under one fair protocol, tracked in MLflow.

Examples
--------
>>> from mer_mlflow import cross_validate, get_method, load_dataset, split_plan
>>> clips = load_dataset("demo")  # doctest: +SKIP
>>> plan = split_plan(clips, n_splits=5, n_repeats=1)  # doctest: +SKIP
>>> result = cross_validate(get_method("svm"), clips, plan=plan)  # doctest: +SKIP
>>> result.summary["f1_macro"].mean  # doctest: +SKIP
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mer_mlflow._version import __version__

if TYPE_CHECKING:
    from mer_mlflow.crossval import cross_validate, split_plan
    from mer_mlflow.datasets import load_dataset
    from mer_mlflow.deployment.logging import load_model
    from mer_mlflow.errors import MerError
    from mer_mlflow.methods import get_method

__all__ = [
    "MerError",
    "__version__",
    "cross_validate",
    "get_method",
    "load_dataset",
    "load_model",
    "split_plan",
]

_MODULES = {
    "MerError": "errors",
    "cross_validate": "crossval",
    "get_method": "methods",
    "load_dataset": "datasets",
    "load_model": "deployment.logging",
    "split_plan": "crossval",
}


def __getattr__(name: str) -> Any:
    """Import a name at its first use: every program that uses MLflow imports this package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
