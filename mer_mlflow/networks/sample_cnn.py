"""Lee et al.'s Sample CNN."""

from __future__ import annotations

from mer_mlflow.networks.blocks import EPSILON, MOMENTUM
from mer_mlflow.networks.keras_backend import keras, layers

WIDTHS = (1, 1, 2, 2, 2, 2, 2, 2, 4)
"""Filters of each block that pools, relative to the first layer."""


def sample_cnn(
    *, input_shape: tuple[int, ...], n_classes: int, filters: int, dropout: float
) -> keras.Model:
    """Build the Sample CNN: convolutions of size 3 on samples, with pooling by 3 in each block.

    Parameters
    ----------
    input_shape : (n_samples,), at least 59 049
    n_classes : int > 1, softmax outputs
    filters : int > 0, filters of the first layer; 128 in the original
    dropout : dropout rate before the output

    References
    ----------
    J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level deep convolutional neural networks for music
    auto-tagging using raw waveforms", SMC 2017.
    """
    samples = keras.Input(input_shape)
    hidden = layers.Reshape((*input_shape, 1))(samples)
    hidden = _convolution(hidden, filters, size=3, stride=3)
    for width in WIDTHS:
        hidden = _convolution(hidden, width * filters, size=3)
        hidden = layers.MaxPooling1D(3)(hidden)
    hidden = _convolution(hidden, WIDTHS[-1] * filters, size=1)
    hidden = layers.Dropout(dropout)(layers.GlobalMaxPooling1D()(hidden))
    output = layers.Dense(n_classes, activation="softmax")(hidden)
    return keras.Model(samples, output, name="sample_cnn")


def _convolution(
    hidden: keras.KerasTensor, filters: int, *, size: int, stride: int = 1
) -> keras.KerasTensor:
    hidden = layers.Conv1D(filters, size, strides=stride, padding="same")(hidden)
    hidden = layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(hidden)
    return layers.ReLU()(hidden)
