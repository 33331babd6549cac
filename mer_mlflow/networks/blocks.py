"""Common parts of several architectures."""

from __future__ import annotations

from mer_mlflow.networks.keras_backend import keras, layers

FRONT_END = "front_end"
"""Name of the layer whose output is the input of a fusion network."""
MOMENTUM, EPSILON = 0.9, 1e-5
"""Momentum and epsilon of batch normalisation in networks that were published in PyTorch."""


def time_mel_image(mel: keras.KerasTensor) -> keras.KerasTensor:
    """Turn spectrograms (n_mels, n_frames) into one-channel images (n_frames, n_mels, 1)."""
    transposed = layers.Permute((2, 1))(mel)
    return layers.Reshape((*transposed.shape[1:], 1))(transposed)


def time_sequence(maps: keras.KerasTensor) -> keras.KerasTensor:
    """Turn feature maps (n_steps, n_bands, filters) into vectors (n_steps, n_bands * filters)."""
    _, n_steps, n_bands, filters = maps.shape
    return layers.Reshape((n_steps, n_bands * filters))(maps)
