"""Late fusion of several networks."""

from __future__ import annotations

import math

from mer_mlflow.networks.keras_backend import keras, layers


def fusion(
    *, block_sizes: tuple[int, ...], n_classes: int, units: int, dropout: float
) -> keras.Model:
    """Build a small dense network on standardised, equally weighted blocks of values.

    Blocks are scaled to the total variance of the smallest one, because a front end with thousands
    of outputs would dominate one with a hundred otherwise.

    Parameters
    ----------
    block_sizes : number of values of each block, in the order of the input
    n_classes : int > 1, softmax outputs
    units : int > 0, units of the hidden layer
    dropout : dropout rate after the hidden layer
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
