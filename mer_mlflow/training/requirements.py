"""Requirements of a methodology, checked before it is trained."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.errors import DatasetError, ParameterError
from mer_mlflow.networks import backend_name
from mer_mlflow.packages import require_package
from mer_mlflow.training.method import Method

BACKENDS = {"tensorflow": "tensorflow", "torch": "torch", "jax": "jax"}
"""Keras backends that can train, and their packages."""


def require_framework(method: Method) -> None:
    """Check that the framework of a methodology is installed.

    Raises
    ------
    ParameterError
        If it is not installed, or ``KERAS_BACKEND`` names a backend that cannot train.
    """
    if method.framework == "torch":
        require_package("torch", needed_by=method.name)
    if method.framework == "keras":
        backend = backend_name() or "tensorflow"
        if backend not in BACKENDS:
            raise ParameterError(
                f"KERAS_BACKEND={backend}: {method.name} cannot be trained with it; use "
                "tensorflow or torch"
            )
        require_package("keras", needed_by=method.name)
        require_package(BACKENDS[backend], needed_by=f"{method.name} with KERAS_BACKEND={backend}")


def fewest_clips(labels: NDArray[np.int64], *, fewest: int, needed_by: str) -> None:
    """Check that there are enough training clips of each quadrant.

    Parameters
    ----------
    labels : quadrants of the training clips [shape=(n_clips,)]
    fewest : minimum number of clips of each quadrant
    needed_by : what needs them, for the error message

    Raises
    ------
    DatasetError
        If there are too few.
    """
    for quadrant, n_clips in zip(*np.unique(labels, return_counts=True), strict=True):
        if n_clips < fewest:
            raise DatasetError(
                f"{QUADRANTS[quadrant]} has {n_clips} training clips: {needed_by} needs {fewest} "
                "of each quadrant"
            )
