"""Late fusion of what several networks see."""

from __future__ import annotations

import math

from mer_mlflow.networks.keras_backend import keras, layers


def fusion(
    *, block_sizes: tuple[int, ...], n_classes: int, units: int, dropout: float
) -> keras.Model:
    """Build a small dense network on standardised blocks of values that weigh the same.

    Blocks are scaled to the variance of the smallest one; a front end of thousands of values would
    drown one of a hundred otherwise.

    Parameters
    ----------
    block_sizes : values of each block, which follow each other in the input
    n_classes : int > 1, softmax outputs
    units : int > 0, of the hidden layer
    dropout : rate after it
    """
    values = keras.Input((sum(block_sizes),))
    blocks, start = [], 0
    for size in block_sizes:
        weight = math.sqrt(min(block_sizes) / size)
        blocks.append(layers.Rescaling(weight)(values[:, start : start + size]))
        start += size
    hidden = layers.Dense(units, activation="relu")(layers.Concatenate()(blocks))
    hidden = layers.Dropout(dropout)(hidden)
    return keras.Model(values, layers.Dense(n_classes, activation="softmax")(hidden), name="fusion")
