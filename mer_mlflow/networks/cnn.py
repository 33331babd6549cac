"""The study's baseline CNN, and its front end with recurrent layers over time."""

from __future__ import annotations

from mer_mlflow.networks.blocks import FRONT_END, time_mel_image, time_sequence
from mer_mlflow.networks.keras_backend import keras, layers

POOLS = ((2, 2), (2, 2), (3, 2), (3, 2))
"""Max-pooling of each block over (time, mel)."""


def cnn_front_end(
    image: keras.KerasTensor, *, filters: int, dropout: float, momentum: float
) -> keras.KerasTensor:
    """Apply four blocks of convolution, pooling, batch normalisation and dropout.

    Parameters
    ----------
    image : (n_frames, n_mels, 1)
    filters : int > 0, filters of each convolution
    dropout : dropout rate after each block except the last
    momentum : momentum of the running statistics of batch normalisation

    Returns
    -------
    feature maps (n_steps, n_bands, filters)

    Notes
    -----
    Pooling before the ReLU gives the same values and gradients as after it, with fewer operations.
    """
    hidden = image
    for block, pool in enumerate(POOLS):
        hidden = layers.Conv2D(filters, 3, kernel_initializer="he_normal")(hidden)
        hidden = layers.MaxPooling2D(pool, padding="same")(hidden)
        hidden = layers.ReLU()(hidden)
        if block < len(POOLS) - 1:
            hidden = layers.BatchNormalization(momentum=momentum)(hidden)
            hidden = layers.Dropout(dropout)(hidden)
    return hidden


def cnn(
    *,
    input_shape: tuple[int, ...],
    n_classes: int,
    filters: int,
    dense_units: int,
    block_dropout: float,
    dropout: float,
    momentum: float,
) -> keras.Model:
    """Build the baseline CNN.

    Parameters
    ----------
    input_shape : (n_mels, n_frames)
    n_classes : int > 1, softmax outputs
    filters : int > 0, filters of each convolution
    dense_units : int > 0, units of the hidden dense layer
    block_dropout, dropout : dropout rates in the front end and before the dense layer
    momentum : momentum of the running statistics of batch normalisation

    References
    ----------
    K. Choi, G. Fazekas, M. Sandler, "Automatic tagging using deep convolutional neural networks",
    ISMIR 2016.
    """
    mel = keras.Input(input_shape)
    hidden = cnn_front_end(
        time_mel_image(mel), filters=filters, dropout=block_dropout, momentum=momentum
    )
    hidden = layers.Dropout(dropout)(layers.Flatten(name=FRONT_END)(hidden))
    hidden = layers.Dense(dense_units, activation="relu")(hidden)
    return keras.Model(mel, layers.Dense(n_classes, activation="softmax")(hidden), name="cnn")


def cnn_gru(
    *,
    input_shape: tuple[int, ...],
    n_classes: int,
    filters: int,
    gru_units: int,
    dense_units: int,
    block_dropout: float,
    dropout: float,
    momentum: float,
) -> keras.Model:
    """Build the baseline CNN with two GRU layers between front end and dense layer.

    Parameters
    ----------
    input_shape : (n_mels, n_frames)
    n_classes : int > 1, softmax outputs
    filters : int > 0, filters of each convolution
    gru_units : int > 0, units of each GRU layer
    dense_units : int > 0, units of the hidden dense layer
    block_dropout, dropout : dropout rates in the front end and before the dense layer
    momentum : momentum of the running statistics of batch normalisation
    """
    mel = keras.Input(input_shape)
    maps = cnn_front_end(
        time_mel_image(mel), filters=filters, dropout=block_dropout, momentum=momentum
    )
    hidden = layers.GRU(gru_units, return_sequences=True)(time_sequence(maps))
    hidden = layers.GRU(gru_units)(hidden)
    hidden = layers.Dropout(dropout)(hidden)
    hidden = layers.Dense(dense_units, activation="relu")(hidden)
    return keras.Model(mel, layers.Dense(n_classes, activation="softmax")(hidden), name="cnn_gru")
