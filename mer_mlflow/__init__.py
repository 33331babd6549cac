"""Music Emotion Recognition methodologies compared under one fair protocol, tracked in MLflow.

Examples
--------
>>> from mer_mlflow import cross_validate, get_method, load_dataset, split_plan
>>> clips = load_dataset("demo")  # doctest: +SKIP
>>> plan = split_plan(clips, n_splits=5, n_repeats=1)  # doctest: +SKIP
>>> result = cross_validate(get_method("svm"), clips, plan=plan)  # doctest: +SKIP
>>> result.summary["f1_macro"].mean  # doctest: +SKIP
"""

from mer_mlflow._version import __version__
from mer_mlflow.crossval import cross_validate, split_plan
from mer_mlflow.datasets import load_dataset
from mer_mlflow.errors import MerError
from mer_mlflow.methods import get_method

__all__ = [
    "MerError",
    "__version__",
    "cross_validate",
    "get_method",
    "load_dataset",
    "split_plan",
]
