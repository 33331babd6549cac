"""Convolutional autoencoder of mel spectrograms, with a generator and a critic of matching size.

A spectrogram of 128 bands and 938 frames is padded to 944 frames. Four convolutions with stride 2
reduce it to a bottleneck of 8 x 59 x 128, 60 416 values; the decoder mirrors them.

References
----------
D. Dablain, B. Krawczyk, N. V. Chawla, "DeepSMOTE: fusing deep learning and SMOTE for imbalanced
data", IEEE Transactions on Neural Networks and Learning Systems 34(9), 2023: strided convolutions,
mirrored by transposed ones.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024: the size of the bottleneck.
A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks", ICLR 2016.
"""

from __future__ import annotations

import math

from mer_mlflow.networks.keras_backend import keras, layers

FILTERS = (16, 32, 64, 128)
"""Filters of the encoder's convolutions."""
SHRINKAGE = 2 ** len(FILTERS)
"""Number of bands or frames per position of the bottleneck."""
SEED_FILTERS = 8
"""Channels of a generator's first feature maps."""
LEAK = 0.2
"""Negative slope of a critic's leaky ReLU, as in Radford et al."""


def bottleneck_shape(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the shape of the bottleneck before flattening, 8 x 59 x 128 for 128 x 938.

    Parameters
    ----------
    input_shape : (n_mels, n_frames)
    """
    n_mels, n_frames = (math.ceil(length / SHRINKAGE) for length in input_shape)
    return n_mels, n_frames, FILTERS[-1]


def encoder(*, input_shape: tuple[int, ...]) -> keras.Model:
    """Build the encoder from a spectrogram to its flattened bottleneck.

    Parameters
    ----------
    input_shape : (n_mels, n_frames)
    """
    mel = keras.Input(input_shape)
    hidden = layers.Reshape((*input_shape, 1))(mel)
    hidden = layers.ZeroPadding2D([(0, missing) for missing in _missing(input_shape)])(hidden)
    for filters in FILTERS[:-1]:
        hidden = _halved(hidden, filters, activation="relu")
    return keras.Model(mel, layers.Flatten()(_halved(hidden, FILTERS[-1])), name="encoder")


def decoder(*, output_shape: tuple[int, ...]) -> keras.Model:
    """Build the decoder from a flattened bottleneck to a spectrogram.

    Parameters
    ----------
    output_shape : (n_mels, n_frames)
    """
    shape = bottleneck_shape(output_shape)
    values = keras.Input((math.prod(shape),))
    hidden = layers.Reshape(shape)(values)
    for filters in FILTERS[-2::-1]:
        hidden = _doubled(hidden, filters, activation="relu")
    hidden = _doubled(hidden, 1)
    hidden = layers.Cropping2D([(0, missing) for missing in _missing(output_shape)])(hidden)
    return keras.Model(values, layers.Reshape(output_shape)(hidden), name="decoder")


def generator(*, output_shape: tuple[int, ...], n_noise: int) -> keras.Model:
    """Build a generator from noise to a flattened bottleneck.

    Parameters
    ----------
    output_shape : (n_mels, n_frames) of the decoded spectrogram
    n_noise : int > 0, number of noise values
    """
    n_bands, n_steps, n_values = bottleneck_shape(output_shape)
    noise = keras.Input((n_noise,))
    hidden = layers.Dense(n_bands * n_steps * SEED_FILTERS, activation="relu")(noise)
    hidden = layers.Reshape((n_bands, n_steps, SEED_FILTERS))(hidden)
    hidden = layers.Conv2D(FILTERS[-2], 3, padding="same", activation="relu")(hidden)
    hidden = layers.Conv2D(n_values, 3, padding="same")(hidden)
    return keras.Model(noise, layers.Flatten()(hidden), name="generator")


def critic(*, input_shape: tuple[int, ...], dropout: float) -> keras.Model:
    """Build a network that predicts whether spectrograms are recorded (logit above 0) or generated.

    Parameters
    ----------
    input_shape : (n_mels, n_frames)
    dropout : dropout rate after each convolution
    """
    mel = keras.Input(input_shape)
    hidden = layers.Reshape((*input_shape, 1))(mel)
    for filters in FILTERS:
        hidden = layers.LeakyReLU(LEAK)(_halved(hidden, filters))
        hidden = layers.Dropout(dropout)(hidden)
    return keras.Model(mel, layers.Dense(1)(layers.Flatten()(hidden)), name="critic")


def _halved(
    maps: keras.KerasTensor, filters: int, *, activation: str | None = None
) -> keras.KerasTensor:
    return layers.Conv2D(filters, 3, strides=2, padding="same", activation=activation)(maps)


def _doubled(
    maps: keras.KerasTensor, filters: int, *, activation: str | None = None
) -> keras.KerasTensor:
    return layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation=activation)(
        maps
    )


def _missing(shape: tuple[int, ...]) -> list[int]:
    """Return the padding of bands and frames to a multiple of the bottleneck's stride."""
    return [-length % SHRINKAGE for length in shape]
