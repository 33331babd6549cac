"""Musicnn: penultimate layer and means of the layers below it, averaged over patches of 3 s.

The patches of a clip do not overlap. A clip shorter than the excerpt is repeated from its start,
and the end of a clip that does not fill a patch is left out.

The published checkpoints of TensorFlow 1 have their arrays, with two more of each for the
optimiser, one after the other in the alphabetical order of their names, so the file of values is
sufficient.

References
----------
J. Pons, X. Serra, "musicnn: pre-trained convolutional neural networks for music audio tagging",
late-breaking demo, ISMIR 2019; code and weights: https://github.com/jordipons/musicnn (ISC).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample_repeated
from mer_mlflow.weights import PublishedWeights, Weights, not_weights_of

NETWORKS = tuple(
    PublishedWeights(
        name=f"musicnn_{dataset.lower()}",
        path=f"{dataset}_musicnn/.data-00000-of-00001",
        source="https://github.com/jordipons/musicnn",
        licence="ISC",
        sha256=(digest,),
        package="musicnn",
    )
    for dataset, digest in (
        ("MSD", "8579734ee6388f799ed0def4bbd0d1fdcbeaf213ef2a9dc860917bd76a303de6"),
        ("MTT", "041f3935e981a65cea739842d30c188d3a7d2adf4410955c8668eb3de4a5acab"),
    )
)
VERSION = 1
ON_KERAS = True
BATCH_SIZE = 16
"""Batch size of the network, in patches."""
COST = 0.5
"""Time for a clip of 30 s on one core [s]; for estimates only."""
SR, N_FRAMES, HOP_LENGTH = 16_000, 187, 256
SHORTEST = N_FRAMES * HOP_LENGTH / SR
"""Minimum excerpt for one patch [s]."""
STATISTICS = SUMMARY = "statistics"
BLOCKS: Mapping[str, int] = {"penultimate": 200, "c1": 64, "c2": 64, "c3": 64, "front_end": 561}
"""Blocks of the statistics and their sizes, in order: means over patches."""
KERNELS = {
    "conv2d": (7, 38, 1, 204),
    "conv2d_1": (7, 67, 1, 204),
    "conv2d_2": (128, 1, 1, 51),
    "conv2d_3": (64, 1, 1, 51),
    "conv2d_4": (32, 1, 1, 51),
    "conv2d_5": (7, 561, 1, 64),
    "conv2d_6": (7, 64, 1, 64),
    "conv2d_7": (7, 64, 1, 64),
    "dense": (1506, 200),
    "dense_1": (200, 50),
}
"""Shapes of the kernels by the names of their layers."""
NORMALISED = (1, 204, 204, 51, 51, 51, 64, 64, 64, 1506, 200)
"""Sizes of the normalisations ``batch_normalization`` to ``batch_normalization_10``."""
TRAINED, FOLLOWED = ("kernel", "bias", "gamma", "beta"), ("moving_mean", "moving_variance")
OPTIMISER = ("", "/Adam", "/Adam_1")


def shape(layer: str, duration: float) -> tuple[int, ...]:
    """Return (953,), for every excerpt."""
    return {STATISTICS: (sum(BLOCKS.values()),)}[layer]


def load(weights: Weights) -> Any:
    """Load the network for inference.

    Parameters
    ----------
    weights : values of a checkpoint of TensorFlow 1

    Raises
    ------
    WeightsError
        If the file is not that of such a network.
    """
    from mer_mlflow.networks.musicnn import musicnn

    content = weights.read()
    try:
        arrays = read_checkpoint(content)
    except ValueError as error:
        raise not_weights_of("musicnn", weights, error) from error
    network = musicnn()
    _assign(network, arrays)
    network.trainable = False  # PyTorch would keep all activations for gradients
    return network


def embed(network: Any, audio: Audio, *, layer: str, duration: float) -> NDArray[np.float32]:
    """Compute means over one clip's patches [shape=(953,)].

    Parameters
    ----------
    network : network returned by :func:`load`
    audio : the clip
    layer : ``"statistics"``
    duration : excerpt [s]
    """
    from mer_mlflow.networks.inference import outputs_of
    from mer_mlflow.networks.musicnn import log_mel

    samples = resample_repeated(audio, sr=SR, duration=max(duration, SHORTEST))
    spectrogram = log_mel(samples)
    n_patches = len(spectrogram) // N_FRAMES
    patches = spectrogram[: n_patches * N_FRAMES].reshape(n_patches, N_FRAMES, -1)
    blocks = outputs_of(network, patches, batch_size=BATCH_SIZE)
    means = np.concatenate(blocks, axis=1).mean(axis=0, dtype=np.float64)
    return np.asarray(means, dtype=np.float32)


def layout() -> dict[str, tuple[int, ...]]:
    """Return the shapes of a checkpoint's arrays by name, in the order of the file."""
    shapes: dict[str, tuple[int, ...]] = {"beta1_power": (), "beta2_power": ()}
    for name, kernel in KERNELS.items():
        shapes |= {f"{name}/kernel": kernel, f"{name}/bias": kernel[-1:]}
    for number, size in enumerate(NORMALISED):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        shapes |= {f"{name}/{part}": (size,) for part in ("gamma", "beta", *FOLLOWED)}
    trained = {name: each for name, each in shapes.items() if name.endswith(TRAINED)}
    shapes |= {name + part: each for name, each in trained.items() for part in OPTIMISER}
    return dict(sorted(shapes.items()))


def read_checkpoint(content: bytes) -> dict[str, NDArray[np.float32]]:
    """Return a checkpoint's arrays by name.

    Raises
    ------
    ValueError
        If the size is not that of a checkpoint of this network, or a value is not possible.
    """
    shapes = layout()
    sizes = [math.prod(each) for each in shapes.values()]
    wanted = 4 * sum(sizes)
    if len(content) != wanted:
        raise ValueError(f"it has {len(content)} bytes, not {wanted}")
    parts = np.split(np.frombuffer(content, dtype="<f4"), np.cumsum(sizes)[:-1])
    arrays = {
        name: part.reshape(each) for (name, each), part in zip(shapes.items(), parts, strict=True)
    }
    for name, array in arrays.items():
        low = 0.0 if name.endswith("moving_variance") else -np.inf
        if not (np.isfinite(array).all() and (array >= low).all()):
            raise ValueError(f"{name} has impossible values")
    return arrays


def _assign(network: Any, arrays: Mapping[str, NDArray[np.float32]]) -> None:
    for layer in network.layers:
        for variable in layer.weights:
            variable.assign(arrays[f"{layer.name}/{variable.name}"].reshape(variable.shape))
