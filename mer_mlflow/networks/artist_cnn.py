"""Park's network for artist classification, without its output layer.

References
----------
J. Park, J. Lee, J. Park, J.-W. Ha, J. Nam, "Representation learning of music using artist labels",
ISMIR 2018; code and weights: https://github.com/jongpillee/ismir2018-artist (MIT).
"""

from __future__ import annotations

from mer_mlflow.networks.keras_backend import keras, layers

N_FRAMES, N_MELS = 129, 128
"""Frames of a segment, about three seconds."""
BLOCKS = ((128, 4, 4), (128, 4, 4), (128, 4, 4), (128, 2, 2), (256, 1, None))
"""Filters, kernel and pool of each convolution."""
EPSILON = 1e-3
"""Epsilon of batch normalisation."""


def artist_trunk() -> keras.Model:
    """Build the five convolution blocks, from segments (129, 128) to activations (1, 256).

    Segments are standardised mel spectrograms (n_frames, n_mels).
    """
    segment = keras.Input((N_FRAMES, N_MELS))
    hidden = segment
    for filters, kernel, pool in BLOCKS:
        hidden = layers.Conv1D(filters, kernel, padding="same")(hidden)
        hidden = layers.BatchNormalization(epsilon=EPSILON)(hidden)
        hidden = layers.ReLU()(hidden)
        if pool:
            hidden = layers.MaxPooling1D(pool)(hidden)
    return keras.Model(segment, hidden, name="artist_trunk")


def artist_output(*, input_shape: tuple[int, ...], n_classes: int) -> keras.Model:
    """Build a dense output layer on embeddings.

    Parameters
    ----------
    input_shape : (n_values,)
    n_classes : int > 1, softmax outputs
    """
    values = keras.Input(input_shape)
    return keras.Model(values, layers.Dense(n_classes, activation="softmax")(values), name="output")
