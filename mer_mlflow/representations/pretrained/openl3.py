"""OpenL3: embeddings of a network trained to match sound and image, ten per second.

Windows of one second are centred at 0 s, 0.1 s, 0.2 s and so on. A clip shorter than the excerpt is
repeated from its start instead of padded with silence.

References
----------
J. Cramer, H.-H. Wu, J. Salamon, J. P. Bello, "Look, listen and learn more: design choices for deep
audio embeddings", ICASSP 2019; weights: https://github.com/marl/openl3 (CC BY 4.0).
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample_repeated
from mer_mlflow.representations.unpacking import array_reader, unpacked
from mer_mlflow.weights import PublishedWeights, Weights, not_weights_of

N_MELS = {"openl3_mel256": 256, "openl3_mel128": 128}
"""Number of mel bands of a network, by the name of its weights."""
NETWORKS = tuple(
    PublishedWeights(
        name=name,
        path=f"openl3_audio_mel{n_mels}_music*.h5",
        source="https://github.com/marl/openl3",
        licence="CC BY 4.0",
        package="openl3",
        may_be_packed=True,
    )
    for name, n_mels in N_MELS.items()
)
VERSION = 1
ON_KERAS = True
COST = 8.0
"""Time for a clip of 30 s on one core [s]."""
SR = 48_000
WINDOW, HOP = 48_000, 4_800
"""Window length and hop length in samples."""
SHORTEST = 0.0
"""Minimum excerpt [s]; there is none."""
BATCH_SIZE = 8
"""Batch size of the network, in windows."""
LAYER = SUMMARY = "frames"
BLOCKS: Mapping[str, int] = {}
N_VALUES = 512
KINDS = {"kernel", "gamma"}
"""Arrays of convolutions and normalisations. Older files contain filters of the front end too,
which are ignored."""
UNREADABLE = (OSError, EOFError, zlib.error, RuntimeError, OverflowError)
"""Exceptions of gzip and h5py for damaged files."""


def shape(layer: str, duration: float) -> tuple[int, ...]:
    """Return (n_windows, 512); 296 windows for 30 s and 298 for 30.15 s.

    Parameters
    ----------
    layer : ``"frames"``
    duration : excerpt [s]
    """
    beyond_first = max(0, round(duration * SR) - WINDOW // 2)
    return {LAYER: (1 + -(-beyond_first // HOP), N_VALUES)}[layer]


def load(weights: Weights) -> Any:
    """Load the network for inference.

    Parameters
    ----------
    weights : HDF5 file of Keras 2, a model's weights or a whole model, optionally in gzip format

    Raises
    ------
    WeightsError
        If the file is not that of such a network.
    """
    from mer_mlflow.networks.openl3 import openl3

    network = openl3(n_mels=N_MELS[weights.name])
    content = weights.read()
    try:
        _assign(network, _saved_layers(content, is_packed=weights.file.suffix == ".gz"))
    except (*UNREADABLE, KeyError, ValueError) as error:
        raise not_weights_of("OpenL3", weights, error) from error
    network.trainable = False  # PyTorch would keep all activations for gradients
    return network


def embed(network: Any, audio: Audio, *, layer: str, duration: float) -> NDArray[np.float32]:
    """Compute embeddings of one clip's windows [shape=(n_windows, 512)].

    A clip shorter than the excerpt is repeated from its start, because silence would be embedded
    like recorded sound.

    Parameters
    ----------
    network : network returned by :func:`load`
    audio : the clip
    layer : ``"frames"``
    duration : excerpt [s]
    """
    from mer_mlflow.networks.keras_backend import keras
    from mer_mlflow.networks.openl3 import decibel_mel, windows

    cut = windows(resample_repeated(audio, sr=SR, duration=duration), hop_seconds=HOP / SR)
    n_mels = network.input_shape[1]
    batches = (
        decibel_mel(cut[start : start + BATCH_SIZE], n_mels=n_mels)
        for start in range(0, len(cut), BATCH_SIZE)
    )
    outputs = [keras.ops.convert_to_numpy(network(batch, training=False)) for batch in batches]
    return np.concatenate(outputs, dtype=np.float32)


def _saved_layers(
    content: bytes, *, is_packed: bool
) -> list[tuple[str, dict[str, NDArray[np.float32]]]]:
    """Return the names of a file's layers, in order, and their arrays by name."""
    import h5py

    file = io.BytesIO(unpacked(content) if is_packed else content)
    with h5py.File(file, "r") as saved:
        root = saved.get("model_weights", saved)
        if "layer_names" not in root.attrs:
            raise ValueError("no layer_names in it")
        encoded = root.attrs["layer_names"]
        names = [name.decode() if isinstance(name, bytes) else name for name in encoded]
        read = array_reader()
        layers = [(name, _arrays(root[name], read)) for name in names]
    return [(name, arrays) for name, arrays in layers if KINDS & arrays.keys()]


def _arrays(
    group: Any, read: Callable[[Any], NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """Return the arrays of a group at any depth, by name."""
    found: dict[str, NDArray[np.float32]] = {}

    def keep(path: str, item: Any) -> None:
        if hasattr(item, "shape"):
            found[Path(path).name.removesuffix(":0")] = read(item)

    group.visititems(keep)
    return found


def _assign(network: Any, saved: list[tuple[str, dict[str, NDArray[np.float32]]]]) -> None:
    layers = [layer for layer in network.layers if layer.weights]
    if len(saved) != len(layers):
        raise ValueError(f"{len(saved)} layers with weights, not {len(layers)}")
    for layer, (name, arrays) in zip(layers, saved, strict=True):
        for variable in layer.weights:
            wanted = tuple(variable.shape)
            if variable.name not in arrays:
                raise ValueError(f"layer {name} has no {variable.name}")
            if arrays[variable.name].shape != wanted:
                held = arrays[variable.name].shape
                raise ValueError(f"{variable.name} of layer {name} is {held}, not {wanted}")
            variable.assign(arrays[variable.name])
