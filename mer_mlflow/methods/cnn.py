"""CNN: the study's deep baseline, a small convolutional network on the mel spectrogram.

The layers are those of the authors' public code. The study leaves the scaling of the spectrogram
open: here it is log power, standardised by the mean and deviation of the training clips. The
normalisations' running statistics keep 0.9 of themselves at each step where Keras would keep 0.99:
training often stops after some hundred steps, too few for statistics as slow as that.

References
----------
K. Choi, G. Fazekas, M. Sandler, "Automatic tagging using deep convolutional neural networks",
ISMIR 2016.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.methods._method import Method, Scores, searchable
from mer_mlflow.methods._network import fit_network, load_network
from mer_mlflow.representations import Mel


@dataclass(frozen=True, kw_only=True)
class CNNHyperparameters:
    """The study's deep-learning default: SGD, training stops at an accuracy of 0.90."""

    optimizer: str = searchable("sgd", choices=("sgd", "adam"))
    learning_rate: float = searchable(
        0.01, low=0.0, exclusive_low=True, grid=(0.001, 0.005, 0.01, 0.05, 0.1)
    )
    batch_size: int = searchable(150, low=1, grid=(50, 100, 150, 200))
    epochs: int = searchable(200, low=1, grid=(100, 200, 300))
    stop_accuracy: float = searchable(0.9, low=0.0, high=1.0)
    filters: int = searchable(16, low=1, grid=(8, 16, 32))
    dense_units: int = searchable(300, low=1, grid=(150, 300, 600))
    block_dropout: float = searchable(0.1, low=0.0, high=0.9)
    dropout: float = searchable(0.4, low=0.0, high=0.9, grid=(0.3, 0.4, 0.5))
    momentum: float = searchable(0.9, low=0.0, high=1.0)


def network() -> Callable[..., Any]:
    """Architecture, imported when it is needed."""
    from mer_mlflow.networks.cnn import cnn

    return cnn


METHOD = Method(
    name="cnn",
    title="CNN",
    summary="Four small convolution blocks on the mel spectrogram and a dense back end.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CNNHyperparameters,
    fit=fit_network(network),
    load=load_network,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.1,
    citation="Choi, Fazekas, Sandler, ISMIR 2016; Louro et al., Sensors 2024",
    table=2,
    published={
        "original-4qaed": Scores(precision=61.60, recall=61.21, f1=60.62),
        "new-4qaed-c": Scores(precision=62.46, recall=63.99, f1=61.66),
        "new-4qaed-b": Scores(precision=61.39, recall=63.42, f1=60.28),
    },
)
