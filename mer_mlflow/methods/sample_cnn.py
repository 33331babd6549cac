"""Sample CNN: convolutions of size 3 on the samples of chunks of 3.69 s, which vote.

Batch size, epochs and learning rate are the study's. It does not publish the optimizer: Adam is
used, because the learning rate is usual for it. Samples are standardised by the standard deviation
of the training clips.

References
----------
J. Lee, J. Park, K. L. Kim, J. Nam, "Sample-level deep convolutional neural networks for music
auto-tagging using raw waveforms", SMC 2017.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.representations import Chunks, Waveform
from mer_mlflow.training.chunk_vote import by_segment, load_by_segment
from mer_mlflow.training.hyperparameters import AdamTraining, Role, searchable
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class SampleCNNHyperparameters(AdamTraining):
    """The study's values; batch size and training accuracy refer to chunks."""

    batch_size: int = searchable(50, Role.TRAINING | Role.BATCH, low=1, grid=(25, 50, 100))
    epochs: int = searchable(150, Role.TRAINING | Role.EPOCHS, low=1, grid=(100, 150, 200))
    filters: int = searchable(128, Role.ARCHITECTURE, low=1, grid=(64, 128))
    dropout: float = searchable(0.5, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.3, 0.4, 0.5))


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.sample_cnn import sample_cnn

    return sample_cnn


METHOD = Method(
    name="sample_cnn",
    title="Sample CNN",
    summary="Eleven one-dimensional convolutions on the samples of 3.69 s chunks, which vote.",
    version=2,
    inputs=(Chunks(of=Waveform(), length=59_049),),
    hyperparameters=SampleCNNHyperparameters,
    fit=by_segment(fit_network(network)),
    load=load_by_segment(load_network),
    shortest=3.7,
    framework="keras",
    quick_epochs=2,
    cost=1.0,
    citation="Lee et al., SMC 2017",
    table=4,
    published={
        "original-4qaed": Scores(precision=62.64, recall=61.26, f1=60.92),
        "new-4qaed-c": Scores(precision=65.17, recall=62.62, f1=60.78),
        "new-4qaed-b": Scores(precision=62.43, recall=56.70, f1=54.46),
    },
)
