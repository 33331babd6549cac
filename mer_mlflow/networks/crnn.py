"""Won et al.'s convolutional recurrent network."""

from __future__ import annotations

from mer_mlflow.networks.blocks import EPSILON, MOMENTUM, time_mel_image, time_sequence
from mer_mlflow.networks.keras_backend import keras, layers

FILTERS = (64, 128, 128, 128)
POOLS = (2, 3, 4, 4)
"""Max-pooling of each block, over time and mel bands."""


def crnn(
    *, input_shape: tuple[int, ...], n_classes: int, gru_units: int, dropout: float
) -> keras.Model:
    """Build the CRNN: four convolution blocks, then two GRU layers over time.

    Parameters
    ----------
    input_shape : (n_mels, n_frames), at least 96 of each
    n_classes : int > 1, softmax outputs
    gru_units : int > 0, units of each GRU layer
    dropout : dropout rate before the output

    References
    ----------
    M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging
    models", SMC 2020, https://github.com/minzwon/sota-music-tagging-models.
    """
    mel = keras.Input(input_shape)
    hidden = time_mel_image(mel)
    for filters, pool in zip(FILTERS, POOLS, strict=True):
        hidden = layers.Conv2D(filters, 3, padding="same")(hidden)
        hidden = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(hidden)
        hidden = layers.ReLU()(hidden)
        hidden = layers.MaxPooling2D(pool)(hidden)
    hidden = layers.GRU(gru_units, return_sequences=True)(time_sequence(hidden))
    hidden = layers.GRU(gru_units)(hidden)
    hidden = layers.Dropout(dropout)(hidden)
    return keras.Model(mel, layers.Dense(n_classes, activation="softmax")(hidden), name="crnn")
