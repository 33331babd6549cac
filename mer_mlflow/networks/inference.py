"""Outputs of Keras networks, computed in batches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.networks.keras_backend import keras


def outputs_of(
    network: Any, values: NDArray[np.float32], *, batch_size: int
) -> list[NDArray[np.float32]]:
    """Compute all outputs of a network.

    Parameters
    ----------
    network : network with several outputs
    values : inputs [shape=(n, ...)]
    batch_size : int > 0, limits the memory of activations

    Returns
    -------
    each output [shape=(n, ...)]
    """
    batches = [
        network(values[start : start + batch_size], training=False)
        for start in range(0, len(values), batch_size)
    ]
    return [
        np.concatenate([keras.ops.convert_to_numpy(batch) for batch in of_output])
        for of_output in zip(*batches, strict=True)
    ]
