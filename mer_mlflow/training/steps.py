"""Parts of training that do not depend on the framework."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.errors import DivergenceError

PREDICT_BATCH = 16
"""Batch size of predictions, in clips."""


def refuse_divergence(loss: float, *, epoch: int, learning_rate: float) -> None:
    """Check that training has not diverged.

    Raises
    ------
    DivergenceError
        If the loss is not finite.
    """
    if not math.isfinite(loss):
        raise DivergenceError(
            f"the training loss is {loss} after epoch {epoch}; "
            f"try a learning_rate below {learning_rate:g}"
        )


def batches(indices: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Split positions into batches; the last one may be smaller."""
    return (indices[start : start + size] for start in range(0, len(indices), size))
