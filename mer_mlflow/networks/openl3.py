"""OpenL3's audio network for music, and its mel spectrogram.

The mel spectrogram is that of version 0.4.2 with its default front end, kapre.

References
----------
J. Cramer, H.-H. Wu, J. Salamon, J. P. Bello, "Look, listen and learn more: design choices for deep
audio embeddings", ICASSP 2019; code: https://github.com/marl/openl3 (MIT), weights: CC BY 4.0.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import scipy.fft
import scipy.signal
import scipy.sparse
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.networks.keras_backend import keras, layers

SR = 48_000
WINDOW = SR
"""Samples of a window, one second."""
N_FFT, HOP_LENGTH = 2048, 242
N_FRAMES = 199
"""Number of frames that start inside a window."""
FLOOR = 1e-10
"""Minimum magnitude before the logarithm."""
TOP_DB = 80.0
"""Range kept below a window's maximum [dB]."""
FILTERS = (64, 128, 256)
"""Filters of the two convolutions in each block that pools."""
N_VALUES = 512
EMBEDDING = "audio_embedding_layer"
"""Name of the last convolution."""
MOMENTUM, EPSILON = 0.99, 1e-3
"""Momentum and epsilon of batch normalisation."""


def openl3(*, n_mels: int) -> keras.Model:
    """Build the network, from spectrograms (n_mels, 199, 1) to embeddings (512,).

    Parameters
    ----------
    n_mels : 256 or 128, number of mel bands of the published networks
    """
    spectrogram = keras.Input((n_mels, N_FRAMES, 1))
    hidden = _normalisation(spectrogram)
    for filters in FILTERS:
        hidden = _convolution(_convolution(hidden, filters), filters)
        hidden = layers.MaxPooling2D(2, strides=2)(hidden)
    hidden = _convolution(hidden, N_VALUES)
    hidden = layers.Conv2D(
        N_VALUES, 3, padding="same", kernel_initializer="he_normal", name=EMBEDDING
    )(hidden)
    _, n_bands, n_steps, _ = hidden.shape
    hidden = layers.MaxPooling2D((n_bands, n_steps), padding="same")(hidden)
    return keras.Model(spectrogram, layers.Flatten()(hidden), name="openl3")


def windows(
    samples: NDArray[np.float32], *, hop_seconds: float = 0.1, center: bool = True
) -> NDArray[np.float32]:
    """Split audio into overlapping windows of one second, padded with zeros at its end.

    Parameters
    ----------
    samples : audio at 48 kHz [shape=(n_samples,)]
    hop_seconds : float > 0 [s], time between the starts of windows
    center : whether audio is padded with half a second of zeros at its start, so that the first
        sample is in the centre of the first window

    Returns
    -------
    read-only view [shape=(n_windows, 48000)]; 296 windows for 30 s
    """
    hop = round(hop_seconds * SR)
    before = WINDOW // 2 if center else 0
    beyond_first = max(0, before + len(samples) - WINDOW)
    total = WINDOW + -(-beyond_first // hop) * hop
    padded = np.pad(samples, (before, total - before - len(samples)))
    return np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::hop]


def decibel_mel(windowed: NDArray[np.float32], *, n_mels: int) -> NDArray[np.float32]:
    """Compute mel spectrograms in decibels, from -80 to 0 in each window.

    Magnitude, not power, with a periodic Hann window. Frames are not centred; windows are padded
    with zeros at their end. Slaney's mel scale and norm, 0 to 24 000 Hz. Values are ten times the
    logarithm of a magnitude, half of the usual definition of decibels, as in the training of the
    network. The reference is the maximum of each window, so silence is 0 dB.

    The transform is computed in double precision. The original uses single precision, with visible
    rounding errors below -50 dB: on music its spectrograms differ by 0.001 dB on average.

    Parameters
    ----------
    windowed : windows of :func:`windows` [shape=(n_windows, 48000)]
    n_mels : int > 0, number of mel bands

    Returns
    -------
    spectrograms [shape=(n_windows, n_mels, 199, 1)]
    """
    missing = (N_FRAMES - 1) * HOP_LENGTH + N_FFT - WINDOW
    padded = np.pad(windowed, ((0, 0), (0, missing)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT, axis=1)[:, ::HOP_LENGTH]
    spectrum = scipy.fft.rfft(frames * scipy.signal.get_window("hann", N_FFT))
    magnitude = np.abs(spectrum).astype(np.float32).reshape(-1, N_FFT // 2 + 1)
    mel = (_filterbank(n_mels) @ magnitude.T).reshape(n_mels, -1, N_FRAMES).transpose(1, 0, 2)
    decibels = 10.0 * np.log10(np.maximum(mel, FLOOR))
    below = decibels - decibels.max(axis=(1, 2), keepdims=True)
    limited: NDArray[np.float32] = np.maximum(below, -TOP_DB)
    return limited[..., np.newaxis]


def _normalisation(hidden: keras.KerasTensor) -> keras.KerasTensor:
    return layers.BatchNormalization(momentum=MOMENTUM, epsilon=EPSILON)(hidden)


def _convolution(hidden: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    hidden = layers.Conv2D(filters, 3, padding="same", kernel_initializer="he_normal")(hidden)
    return layers.ReLU()(_normalisation(hidden))


@cache
def _filterbank(n_mels: int) -> Any:
    """Return mel filters as a sparse matrix: a dense product would use every core, although a
    filter covers few bins."""
    return scipy.sparse.csr_array(import_librosa().filters.mel(sr=SR, n_fft=N_FFT, n_mels=n_mels))
