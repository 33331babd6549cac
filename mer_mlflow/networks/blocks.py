"""Pieces that several architectures share."""

from __future__ import annotations

import keras
from keras import layers


def time_mel_image(mel: keras.KerasTensor) -> keras.KerasTensor:
    """Turn spectrograms (n_mels, n_frames) into one-channel images (n_frames, n_mels, 1)."""
    transposed = layers.Permute((2, 1))(mel)
    return layers.Reshape((*transposed.shape[1:], 1))(transposed)


def time_sequence(maps: keras.KerasTensor) -> keras.KerasTensor:
    """Turn feature maps (n_steps, n_bands, filters) into vectors (n_steps, n_bands * filters)."""
    _, n_steps, n_bands, filters = maps.shape
    return layers.Reshape((n_steps, n_bands * filters))(maps)
