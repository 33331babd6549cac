"""Won et al.'s ShortChunk CNN."""

from __future__ import annotations

from mer_mlflow.networks.blocks import EPSILON, MOMENTUM, time_mel_image
from mer_mlflow.networks.keras_backend import keras, layers

WIDTHS = (1, 1, 2, 2, 2, 2, 4)
"""Filters of each block, relative to the first block."""


def short_chunk_cnn(
    *, input_shape: tuple[int, ...], n_classes: int, filters: int, dropout: float
) -> keras.Model:
    """Build the ShortChunk CNN: seven convolution blocks, the maximum over time, a dense layer.

    Parameters
    ----------
    input_shape : (n_mels, n_frames), at least 128 of each
    n_classes : int > 1, softmax outputs
    filters : int > 0, filters of the first block; 128 in the original
    dropout : dropout rate before the output

    References
    ----------
    M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging
    models", SMC 2020, https://github.com/minzwon/sota-music-tagging-models.
    """
    mel = keras.Input(input_shape)
    hidden = time_mel_image(mel)
    for width in WIDTHS:
        hidden = layers.Conv2D(width * filters, 3, padding="same")(hidden)
        hidden = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(hidden)
        hidden = layers.ReLU()(hidden)
        hidden = layers.MaxPooling2D(2)(hidden)
    hidden = layers.GlobalMaxPooling2D()(hidden)
    hidden = layers.Dense(WIDTHS[-1] * filters)(hidden)
    hidden = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(hidden)
    hidden = layers.ReLU()(hidden)
    hidden = layers.Dropout(dropout)(hidden)
    output = layers.Dense(n_classes, activation="softmax")(hidden)
    return keras.Model(mel, output, name="short_chunk_cnn")
