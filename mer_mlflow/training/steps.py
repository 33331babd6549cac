"""What trainings share whatever the framework."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.errors import DivergenceError

PREDICT_BATCH = 16
"""Clips that are predicted at once."""


def refuse_divergence(loss: float, *, epoch: int, learning_rate: float) -> None:
    """Make sure that a training is still one.

    Raises
    ------
    DivergenceError
        If the loss is no finite number.
    """
    if not math.isfinite(loss):
        raise DivergenceError(
            f"the training loss is {loss} after epoch {epoch}; "
            f"try a learning_rate below {learning_rate:g}"
        )


def batches(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Cut positions into batches, the last one maybe smaller."""
    return (indices[start : start + size] for start in range(0, len(indices), size))
