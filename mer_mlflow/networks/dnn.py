"""Dense networks with decreasing layer widths."""

from __future__ import annotations

from mer_mlflow.networks.blocks import FRONT_END
from mer_mlflow.networks.keras_backend import keras, layers


def narrowing_dnn(
    *,
    input_shape: tuple[int, ...],
    n_classes: int,
    first_units: int,
    n_layers: int,
    dropout: float,
) -> keras.Model:
    """Build a dense network; each hidden layer has half the width of the previous one.

    Parameters
    ----------
    input_shape : (n_features,)
    n_classes : int > 1, softmax outputs
    first_units : int > 0, width of the first hidden layer
    n_layers : int > 0, number of hidden layers
    dropout : dropout rate after each hidden layer
    """
    features = keras.Input(input_shape)
    hidden = features
    for layer in range(n_layers):
        name = FRONT_END if layer == n_layers - 1 else None
        width = max(1, first_units // 2**layer)
        hidden = layers.Dense(width, activation="relu", name=name)(hidden)
        hidden = layers.Dropout(dropout)(hidden)
    return keras.Model(features, layers.Dense(n_classes, activation="softmax")(hidden), name="dnn")
