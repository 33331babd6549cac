"""Pieces that several architectures share."""

from __future__ import annotations

from mer_mlflow.networks.keras_backend import keras, layers

FRONT_END = "front_end"
"""Name of the layer whose output a fusion of networks reads."""
MOMENTUM, EPSILON = 0.9, 1e-5
"""Of the batch normalisations in networks that were published in PyTorch: the share that running
statistics keep at each step, and what is added to a variance."""


def time_mel_image(mel: keras.KerasTensor) -> keras.KerasTensor:
    """Turn spectrograms (n_mels, n_frames) into one-channel images (n_frames, n_mels, 1)."""
    transposed = layers.Permute((2, 1))(mel)
    return layers.Reshape((*transposed.shape[1:], 1))(transposed)


def time_sequence(maps: keras.KerasTensor) -> keras.KerasTensor:
    """Turn feature maps (n_steps, n_bands, filters) into vectors (n_steps, n_bands * filters)."""
    _, n_steps, n_bands, filters = maps.shape
    return layers.Reshape((n_steps, n_bands * filters))(maps)
