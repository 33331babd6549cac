"""YAMNet: embeddings of a network trained on the sound events of AudioSet, averaged over a clip.

Patches of 0.975 s follow each other every 0.48 s. Their embeddings and their means of layer 12 are
averaged over the clip. A clip shorter than the excerpt is repeated from its start, and the end of a
clip that does not fill a patch is left out, because silence would be embedded like recorded sound.

The published weights are read from Keras' HDF5 file ``yamnet.h5``, or from a TensorFlow Lite file.
Quantised weights of the latter are multiplied by their scales and used as they are, with exact
spectrograms and activations.

References
----------
J. F. Gemmeke et al., "Audio Set: an ontology and human-labeled dataset for audio events",
ICASSP 2017.
M. Plakal, D. Ellis, "YAMNet", 2019; code and weights:
https://github.com/tensorflow/models/tree/master/research/audioset/yamnet (Apache-2.0).
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample_repeated
from mer_mlflow.representations.tflite import IDENTIFIER, convolutions
from mer_mlflow.representations.unpacking import array_reader
from mer_mlflow.weights import PublishedWeights, Weights, not_weights_of

NETWORKS = (
    PublishedWeights(
        name="yamnet",
        path="yamnet.h5",
        alternatives=("*yamnet*.tflite",),
        source="https://storage.googleapis.com/audioset/yamnet.h5",
        licence="Apache-2.0",
        sha256=("13c3308955bbfaef262f175ac9c40e47b134573a93984f009220dd7cc12a1744",),
    ),
)
VERSION = 1
ON_KERAS = True
COST = 0.4
"""Time for a clip of 30 s on one core [s]; for estimates only."""
SR = 16_000
SHORTEST = 0.975
"""Minimum excerpt for one patch [s]."""
BATCH_SIZE = 16
"""Batch size of the network, in patches."""
STATISTICS = SUMMARY = "statistics"
BLOCKS: Mapping[str, int] = {"embedding": 1024, "layer12_mean": 512}
"""Blocks of the statistics and their sizes, in order: means over patches."""
N_CONVOLUTIONS = 27
UNREADABLE = (
    OSError,
    LookupError,
    ValueError,
    TypeError,
    RuntimeError,
    OverflowError,
    struct.error,
)
"""Exceptions of h5py and of the reader of TensorFlow Lite files for damaged files."""


def shape(layer: str, duration: float) -> tuple[int, ...]:
    """Return (1536,), for every excerpt."""
    return {STATISTICS: (sum(BLOCKS.values()),)}[layer]


def load(weights: Weights) -> Any:
    """Load the network for inference.

    Parameters
    ----------
    weights : HDF5 file of Keras 2, or a TensorFlow Lite file

    Raises
    ------
    WeightsError
        If the file is not that of such a network.
    """
    from mer_mlflow.networks.yamnet import yamnet

    content = weights.read()
    is_lite = content[4:8] == IDENTIFIER
    try:
        arrays = _read_lite(content) if is_lite else _read_keras(content)
        network = yamnet()
        network.set_weights(arrays)
    except UNREADABLE as error:
        raise not_weights_of("YAMNet", weights, error) from error
    network.trainable = False  # PyTorch would keep all activations for gradients
    return network


def embed(network: Any, audio: Audio, *, layer: str, duration: float) -> NDArray[np.float32]:
    """Compute means of embedding and layer 12 over one clip's patches [shape=(1536,)].

    Parameters
    ----------
    network : network returned by :func:`load`
    audio : the clip
    layer : ``"statistics"``
    duration : excerpt [s]
    """
    from mer_mlflow.networks.inference import outputs_of
    from mer_mlflow.networks.yamnet import log_mel, patches

    samples = resample_repeated(audio, sr=SR, duration=max(duration, SHORTEST))
    cut = patches(log_mel(samples))
    blocks = outputs_of(network, cut, batch_size=BATCH_SIZE)
    means = np.concatenate(blocks, axis=1).mean(axis=0, dtype=np.float64)
    return np.asarray(means, dtype=np.float32)


def _read_keras(content: bytes) -> list[NDArray[np.float32]]:
    """Return the arrays of the layers before the output, in order."""
    import h5py

    arrays: list[NDArray[np.float32]] = []
    with h5py.File(io.BytesIO(content), "r") as file:
        root, read = file.get("model_weights", file), array_reader()
        if "layer_names" not in root.attrs:
            raise ValueError("no layer_names in it")
        for name in map(_text, root.attrs["layer_names"]):
            names = map(_text, root[name].attrs["weight_names"])
            arrays += [read(root[name][each]) for each in names]
    return arrays[: 4 * N_CONVOLUTIONS]


def _read_lite(content: bytes) -> list[NDArray[np.float32]]:
    """Return the arrays of the layers: normalisation is part of kernel and bias in such files."""
    from mer_mlflow.networks.yamnet import EPSILON

    arrays: list[NDArray[np.float32]] = []
    for kernel, bias in convolutions(content):
        ordered = kernel.transpose((1, 2, 3, 0))
        arrays += [ordered, bias, np.zeros_like(bias), np.full_like(bias, 1.0 - EPSILON)]
    return arrays


def _text(name: bytes | str) -> str:
    return name.decode() if isinstance(name, bytes) else name
