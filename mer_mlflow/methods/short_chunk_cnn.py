"""ShortChunk CNN: a deep network of small convolutions on chunks of 3.69 s, which vote.

The spectrogram is that of the original article, except for the mel filters, which are librosa's:
HTK's filters would be narrower than the frequency bins. Batch size, epochs and learning rate are
the study's; the optimizer, which the study does not publish, is the original one.

References
----------
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.representations import Chunks, Mel
from mer_mlflow.training.chunk_vote import by_segment, load_by_segment
from mer_mlflow.training.hyperparameters import AdamTraining, Role, searchable
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class ShortChunkCNNHyperparameters(AdamTraining):
    """The study's values; batch size and training accuracy refer to chunks."""

    batch_size: int = searchable(50, Role.TRAINING | Role.BATCH, low=1, grid=(25, 50, 100))
    epochs: int = searchable(100, Role.TRAINING | Role.EPOCHS, low=1, grid=(50, 100, 150))
    filters: int = searchable(128, Role.ARCHITECTURE, low=1, grid=(64, 128))
    dropout: float = searchable(0.5, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.3, 0.4, 0.5))


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.short_chunk_cnn import short_chunk_cnn

    return short_chunk_cnn


METHOD = Method(
    name="short_chunk_cnn",
    title="ShortChunk CNN",
    summary="Seven convolution blocks on the mel spectrogram of 3.69 s chunks, which vote.",
    version=2,
    inputs=(Chunks(of=Mel(n_fft=512, hop_length=256), length=231),),
    hyperparameters=ShortChunkCNNHyperparameters,
    fit=by_segment(fit_network(network)),
    load=load_by_segment(load_network),
    shortest=3.7,
    framework="keras",
    quick_epochs=2,
    cost=1.0,
    citation="Won et al., SMC 2020",
    table=4,
    published={
        "original-4qaed": Scores(precision=64.66, recall=61.48, f1=60.61),
        "new-4qaed-c": Scores(precision=64.07, recall=62.13, f1=61.84),
        "new-4qaed-b": Scores(precision=60.23, recall=59.19, f1=57.07),
    },
)
