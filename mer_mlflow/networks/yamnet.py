"""YAMNet's network without its output layer, and its log mel spectrogram.

References
----------
A. G. Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision
applications", arXiv:1704.04861, 2017.
J. F. Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events",
ICASSP 2017; code and weights: https://github.com/tensorflow/models/tree/master/research/audioset/yamnet
(Apache-2.0).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.networks.keras_backend import keras, layers

SR = 16_000
WINDOW, HOP_LENGTH, N_FFT = 400, 160, 512
"""Samples of a frame, of the hop between frames, and of the transform."""
N_MELS, LOW, HIGH = 64, 125.0, 7500.0
"""Mel bands and their range [Hz]."""
OFFSET = 0.001
"""Added to magnitudes before the logarithm."""
N_FRAMES, PATCH_HOP = 96, 48
"""Frames of a patch, and of the hop between patches."""
FIRST = (32, 2)
"""Filters and stride of the first convolution."""
SEPARABLE = (
    (64, 1),
    (128, 2),
    (128, 1),
    (256, 2),
    (256, 1),
    (512, 2),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (512, 1),
    (1024, 2),
    (1024, 1),
)
"""Filters and stride of the separable convolutions: layers 2 to 14."""
MIDDLE = 12
"""Layer whose mean is an output beside the embedding."""
EPSILON = 1e-4
"""Epsilon of batch normalisation."""


def yamnet() -> keras.Model:
    """Build the layers from patches (96, 64, 1) to two means over time and bands.

    Outputs are the embedding, which is the mean of layer 14 (1024,), and the mean of layer 12
    (512,).
    """
    patch = keras.Input((N_FRAMES, N_MELS, 1))
    filters, stride = FIRST
    hidden = _normalised(
        layers.Conv2D(filters, 3, strides=stride, padding="same", use_bias=False)(patch)
    )
    outputs = []
    for number, (filters, stride) in enumerate(SEPARABLE, start=2):
        hidden = _normalised(
            layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(hidden)
        )
        hidden = _normalised(layers.Conv2D(filters, 1, use_bias=False)(hidden))
        if number in (MIDDLE, len(SEPARABLE) + 1):
            outputs.append(layers.GlobalAveragePooling2D()(hidden))
    return keras.Model(patch, outputs[::-1], name="yamnet")


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute the log mel spectrogram [shape=(n_frames, 64)].

    Magnitude with a periodic Hann window of 25 ms, frames not centred and padded with zeros to 512
    samples; HTK mel scale without norm, 125 to 7500 Hz.

    Parameters
    ----------
    samples : audio at 16 kHz [shape=(n_samples,)], at least 400 samples
    """
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::HOP_LENGTH]
    spectrum = scipy.fft.rfft(frames * scipy.signal.get_window("hann", WINDOW), N_FFT)
    values: NDArray[np.float32] = np.log(np.abs(spectrum) @ _filterbank() + OFFSET)
    return values.astype(np.float32)


def patches(spectrogram: NDArray[np.float32]) -> NDArray[np.float32]:
    """Split a spectrogram into patches of 0.96 s every 0.48 s [shape=(n_patches, 96, 64, 1)].

    Parameters
    ----------
    spectrogram : log mel spectrogram [shape=(n_frames, 64)], at least 96 frames
    """
    cut = np.lib.stride_tricks.sliding_window_view(spectrogram, N_FRAMES, axis=0)[::PATCH_HOP]
    return np.ascontiguousarray(cut.transpose(0, 2, 1)[..., np.newaxis])


def _normalised(hidden: keras.KerasTensor) -> keras.KerasTensor:
    return layers.ReLU()(layers.BatchNormalization(epsilon=EPSILON, scale=False)(hidden))


@cache
def _filterbank() -> NDArray[np.float64]:
    """Return triangles over mel values [shape=(257, 64)].

    They are straight on the mel scale, those of librosa on frequencies.
    """
    mel = import_librosa().hz_to_mel
    of_bins = mel(np.linspace(0.0, SR / 2, N_FFT // 2 + 1), htk=True)[:, np.newaxis]
    edges = np.linspace(mel(LOW, htk=True), mel(HIGH, htk=True), N_MELS + 2)
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (of_bins - low) / (centre - low), (high - of_bins) / (high - centre)
    filters: NDArray[np.float64] = np.maximum(0.0, np.minimum(rising, falling))
    filters[0] = 0.0
    return filters
