"""Park's artist network: an embedding of 256 values, trained to distinguish artists.

A clip is split into segments of 129 frames, ten for 30 s. The network's last activations are
max-pooled over each segment and averaged over segments. A clip shorter than the excerpt is repeated
from its start.

References
----------
J. Park, J. Lee, J. Park, J.-W. Ha, J. Nam, "Representation learning of music using artist labels",
ISMIR 2018; weights: https://github.com/jongpillee/ismir2018-artist (MIT).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.representations.audio import Audio, resample_repeated
from mer_mlflow.representations.unpacking import array_reader
from mer_mlflow.weights import PublishedWeights, Weights, not_weights_of

SOURCE = "https://github.com/jongpillee/ismir2018-artist"
NETWORKS = (
    PublishedWeights(
        name="artist_siamese",
        path="model_siamese_10000.h5",
        source=SOURCE,
        licence="MIT",
        sha256=("3b3ad09c321786c8ea388269ee3c35ab540734ce5209f40a430f1c9b0a25f753",),
    ),
    PublishedWeights(name="artist_basic", path="model_basic.h5", source=SOURCE, licence="MIT"),
)
VERSION = 1
ON_KERAS = True
COST = 0.1
"""Time for a clip of 30 s on one core [s]."""
SR, N_FFT, HOP_LENGTH, N_MELS = 22_050, 1024, 512, 128
N_FRAMES = 129
"""Frames of a segment."""
SHORTEST = N_FRAMES * HOP_LENGTH / SR
"""Minimum excerpt for one segment [s]."""
GAIN = 10.0
MEAN, SCALE = 0.22620339, 0.25794547
"""Mean and standard deviation of the spectrograms in the network's training."""
LAYER = SUMMARY = "artist"
BLOCKS: Mapping[str, int] = {}
N_VALUES = 256
CONVOLUTIONS = 5


def shape(layer: str, duration: float) -> tuple[int, ...]:
    """Return (256,), for every excerpt."""
    return {LAYER: (N_VALUES,)}[layer]


def load(weights: Weights) -> Any:
    """Load the network for inference.

    Parameters
    ----------
    weights : HDF5 file of Keras 2: a whole model or its weights

    Raises
    ------
    WeightsError
        If the file is not that of such a network.
    """
    from mer_mlflow.networks.artist_cnn import artist_trunk

    network = artist_trunk()
    content = weights.read()
    try:
        network.set_weights(_read(content))
    except (OSError, KeyError, ValueError, RuntimeError, OverflowError) as error:
        raise not_weights_of("the artist network", weights, error) from error
    return network


def embed(network: Any, audio: Audio, *, layer: str, duration: float) -> NDArray[np.float32]:
    """Compute the embedding of one clip [shape=(256,)].

    Parameters
    ----------
    network : network returned by :func:`load`
    audio : the clip
    layer : ``"artist"``
    duration : excerpt [s]
    """
    from mer_mlflow.networks.keras_backend import keras

    samples = resample_repeated(audio, sr=SR, duration=max(duration, SHORTEST))
    activations = keras.ops.convert_to_numpy(network(segments(samples), training=False))
    return np.asarray(activations.max(axis=1).mean(axis=0), dtype=np.float32)


def segments(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Compute standardised mel spectrograms of segments [shape=(n_segments, 129, 128)].

    Magnitudes of frames centred with reflection padding, in librosa's mel bands, as
    log10(1 + 10 mel).

    Parameters
    ----------
    samples : audio at 22 050 Hz [shape=(n_samples,)]
    """
    librosa = import_librosa()

    magnitude = np.abs(
        librosa.stft(samples, n_fft=N_FFT, hop_length=HOP_LENGTH, pad_mode="reflect")
    )
    mel = librosa.filters.mel(sr=SR, n_fft=N_FFT, n_mels=N_MELS) @ magnitude
    standardised = (np.log10(1.0 + GAIN * mel.T) - MEAN) / SCALE
    whole = len(standardised) // N_FRAMES * N_FRAMES
    cut: NDArray[np.float32] = standardised[:whole].reshape(-1, N_FRAMES, N_MELS)
    return cut.astype(np.float32)


def _read(content: bytes) -> list[NDArray[np.float32]]:
    """Return the arrays in the order of the trunk's layers."""
    import h5py

    with h5py.File(io.BytesIO(content), "r") as file:
        layers, read = file.get("model_weights", file), array_reader()
        return [
            read(layers[f"{kind}_{number}/{kind}_{number}/{name}:0"])
            for number in range(1, CONVOLUTIONS + 1)
            for kind, names in (
                ("conv1d", ("kernel", "bias")),
                ("batch_normalization", ("gamma", "beta", "moving_mean", "moving_variance")),
            )
            for name in names
        ]
