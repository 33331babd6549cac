"""Musicnn, a network for music tagging, without its output layer, and its log mel spectrogram.

References
----------
J. Pons, X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
late-breaking demo, ISMIR 2019; code and weights: https://github.com/jordipons/musicnn (ISC).
J. Pons et al., "End-to-end learning for music audio tagging at scale", ISMIR 2018.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.networks.keras_backend import keras, layers

SR = 16_000
N_FFT, HOP_LENGTH, N_MELS = 512, 256, 96
GAIN = 10_000.0
N_FRAMES = 187
"""Frames of a patch, three seconds."""
TIMBRAL = ((0, 204, 7, 38), (1, 204, 7, 67))
"""Number, filters, frames and bands of the convolutions that read timbre."""
TEMPORAL = ((2, 51, 128, 1), (3, 51, 64, 1), (4, 51, 32, 1))
"""Number, filters, frames and bands of the convolutions that read rhythm."""
ABOVE, N_FILTERS, CONTEXT = (5, 6, 7), 64, 7
"""Numbers of the convolutions above the front end, and their filters and steps."""
N_UNITS = 200
EPSILON = 1e-3
"""Epsilon of batch normalisation."""


def musicnn() -> keras.Model:
    """Build the layers from patches (187, 96) to the penultimate layer.

    Outputs are the penultimate layer (200,), and the means over time of the convolutions above the
    front end, c1 to c3 (64,), and of the front end (561,). Layers have the names of the published
    checkpoints.
    """
    patch = keras.Input((N_FRAMES, N_MELS))
    image = _normalised(layers.Reshape((N_FRAMES, N_MELS, 1))(patch), 0)
    padded = layers.ZeroPadding2D((CONTEXT // 2, 0))(image)
    maps = [
        *(_strongest(padded, *sizes, padding="valid") for sizes in TIMBRAL),
        *(_strongest(image, *sizes, padding="same") for sizes in TEMPORAL),
    ]
    steps = [layers.Concatenate()(maps)]
    for number in ABOVE:
        steps.append(_above(steps[-1], number, is_residual=number != ABOVE[0]))
    every = layers.Concatenate()(steps)
    pooled = [layers.GlobalMaxPooling1D()(every), layers.GlobalAveragePooling1D()(every)]
    columns = [layers.Reshape((every.shape[-1], 1))(values) for values in pooled]
    values = _normalised(layers.Flatten()(layers.Concatenate()(columns)), ABOVE[-1] + 2)
    values = layers.Dense(N_UNITS, activation="relu", name="dense")(values)
    penultimate = _normalised(values, ABOVE[-1] + 3)
    means = [layers.GlobalAveragePooling1D()(step) for step in (*steps[1:], steps[0])]
    return keras.Model(patch, [penultimate, *means], name="musicnn")


def numbered(kind: str, number: int) -> str:
    """Return the name of a layer in the published checkpoints."""
    return f"{kind}_{number}" if number else kind


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the log mel spectrogram, log10(1 + 10000 mel) [shape=(n_frames, 96)].

    Power of frames centred with reflection padding, in librosa's mel bands. The original rounds
    power to half precision, in which loud pure tones overflow; here it is not rounded.

    Parameters
    ----------
    samples : audio at 16 kHz [shape=(n_samples,)]
    """
    mel = import_librosa().feature.melspectrogram(
        y=samples, sr=SR, n_fft=N_FFT, hop_length=HOP_LENGTH, n_mels=N_MELS, pad_mode="reflect"
    )
    values: NDArray[np.float32] = np.log10(1.0 + GAIN * mel.T).astype(np.float32)
    return values


def _strongest(
    image: keras.KerasTensor,
    number: int,
    filters: int,
    n_frames: int,
    n_bands: int,
    *,
    padding: str,
) -> keras.KerasTensor:
    """Return the maximum over bands of a convolution (n_frames, filters)."""
    hidden = layers.Conv2D(
        filters,
        (n_frames, n_bands),
        padding=padding,
        activation="relu",
        name=numbered("conv2d", number),
    )(image)
    hidden = _normalised(hidden, number + 1)
    pooled = layers.MaxPooling2D((1, hidden.shape[2]))(hidden)
    return layers.Reshape((N_FRAMES, filters))(pooled)


def _above(steps: keras.KerasTensor, number: int, *, is_residual: bool) -> keras.KerasTensor:
    """Return the outputs of a convolution over time (n_frames, 64)."""
    hidden = layers.Conv1D(
        N_FILTERS, CONTEXT, padding="same", activation="relu", name=numbered("conv2d", number)
    )(steps)
    hidden = _normalised(hidden, number + 1)
    return layers.Add()([hidden, steps]) if is_residual else hidden


def _normalised(hidden: keras.KerasTensor, number: int) -> keras.KerasTensor:
    name = numbered("batch_normalization", number)
    return layers.BatchNormalization(epsilon=EPSILON, name=name)(hidden)
