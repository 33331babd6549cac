"""Won's CRNN: mel spectrogram, GRU inputs and outputs, and statistics of all layers for a clip.

The input is the first 29.1 s of a clip. A shorter clip is repeated from its start: with padding,
the last steps of the recurrent layers would be silence.

References
----------
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020; weights: https://github.com/minzwon/sota-music-tagging-models (MIT).
"""

from __future__ import annotations

import io
import pickle
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio, resample_repeated
from mer_mlflow.representations.unpacking import refuse_large_zip
from mer_mlflow.weights import PublishedWeights, Weights, not_weights_of

SOURCE = "https://github.com/minzwon/sota-music-tagging-models"
NETWORKS = tuple(
    PublishedWeights(
        name=f"crnn_{dataset}",
        path=f"{dataset}/crnn/best_model.pth",
        source=SOURCE,
        licence="MIT",
        sha256=(digest,),
    )
    for dataset, digest in (
        ("mtat", "cd22fc70cafd06f8f2bfc7dd795abccb1f4b50d5b09094c39ad100baf87475a3"),
        ("jamendo", "0a558989c0793f488cb677d188464c91f47c007f7c70473230e55537ca598215"),
        ("msd", "ebb99855ed0c83f38845db9cfb383dd6fc70938bc58701dcb66e18af9ee7fbea"),
    )
)
VERSION = 2
ON_KERAS = False
COST = 0.12
"""Time for a clip of 30 s on one core [s]."""
SR, HOP_LENGTH = 16_000, 256
SHORTEST, LONGEST = 0.0, 29.1
"""Minimum and maximum excerpt [s]; the network was trained on the maximum."""
POOLS = (2, 3, 4, 4)
MEL, LAST_BLOCK, GRU, STATISTICS = "mel", "layer4", "gru", "statistics"
"""Layers: spectrogram (96, n_frames); steps of the last convolution block (n_steps, 128); last step
of the GRU (32,); statistics of all layers, see :data:`BLOCKS` (n_values,)."""
SUMMARY = STATISTICS
N_MELS, N_CHANNELS, N_UNITS = 96, 128, 32
BLOCKS = {
    "layer2_mean": 128,
    "layer3_mean": 128,
    "layer4_mean": 128,
    "layer4_max": 128,
    "layer4_std": 128,
    "gru": 32,
    "tags": 50,
}
"""Blocks of the statistics and their sizes, in order: statistics over time and bands of the
convolution blocks, the last step of the GRU, logits of the tags."""


def shape(layer: str, duration: float) -> tuple[int, ...]:
    """Return the shape of a layer's outputs.

    Parameters
    ----------
    layer : ``"mel"``, ``"layer4"``, ``"gru"`` or ``"statistics"``
    duration : excerpt [s]; at most 29.1 s are used
    """
    n_frames = 1 + round(min(duration, LONGEST) * SR) // HOP_LENGTH
    n_steps = n_frames
    for pool in POOLS:
        n_steps //= pool
    return {
        MEL: (N_MELS, n_frames),
        LAST_BLOCK: (n_steps, N_CHANNELS),
        GRU: (N_UNITS,),
        STATISTICS: (sum(BLOCKS.values()),),
    }[layer]


def load(weights: Weights) -> Any:
    """Load the network for inference only.

    Parameters
    ----------
    weights : a state dict, saved by PyTorch

    Raises
    ------
    WeightsError
        If the file is not that of such a network.
    """
    from mer_mlflow.networks.won_crnn import frozen

    return frozen(load_trainable(weights))


def load_trainable(weights: Weights) -> Any:
    """Load the network, whose layers can be trained further.

    Parameters
    ----------
    weights : a state dict, saved by PyTorch

    Raises
    ------
    WeightsError
        If the file is not that of such a network.
    """
    import torch

    from mer_mlflow.networks.won_crnn import with_published_weights

    content = weights.read()
    try:
        refuse_large_zip(content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the error, or the check of the network, is sufficient
            state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        return with_published_weights(state)
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        TypeError,
        AttributeError,
        LookupError,
        AssertionError,
        MemoryError,
        pickle.UnpicklingError,
    ) as error:
        raise not_weights_of("Won's CRNN", weights, error) from error


def embed(network: Any, audio: Audio, *, layer: str, duration: float) -> NDArray[np.float32]:
    """Compute a layer's outputs for one clip [shape=shape(layer, duration)].

    Parameters
    ----------
    network : network returned by :func:`load`
    audio : the clip
    layer : see :func:`shape`
    duration : excerpt [s]
    """
    import torch

    from mer_mlflow.networks.won_crnn import mel_spectrogram

    seconds = min(duration, LONGEST)

    def spectrogram() -> Any:
        samples = resample_repeated(audio, sr=SR, duration=seconds)
        return mel_spectrogram(torch.from_numpy(samples).unsqueeze(0))

    with torch.inference_mode():
        mel = audio.derived((mel_spectrogram, seconds), spectrogram)
        if layer == MEL:
            values = mel
        else:
            seen = network.activations(mel)
            values = _of_layer(seen, layer)
    return np.asarray(values[0].numpy(), dtype=np.float32)


def _of_layer(seen: Any, layer: str) -> Any:
    import torch

    if layer == LAST_BLOCK:
        return seen.blocks[-1].squeeze(2).transpose(1, 2)
    if layer == GRU:
        return seen.steps[:, -1]
    last = seen.blocks[3].flatten(2)
    return torch.cat(
        [
            seen.blocks[1].mean((2, 3)),
            seen.blocks[2].mean((2, 3)),
            last.mean(2),
            last.amax(2),
            last.std(2, correction=0),
            seen.steps[:, -1],
            seen.logits,
        ],
        dim=1,
    )
