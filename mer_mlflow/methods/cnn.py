"""CNN: the study's deep baseline, a small convolutional network on the mel spectrogram.

The layers are those of the authors' public code. The study does not publish the scaling of the
spectrogram: here it is log power, standardised by mean and standard deviation of the training
clips. The momentum of batch normalisation is 0.9 instead of Keras' default of 0.99: training often
stops after some hundred steps, too few for running statistics with that default.

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

from mer_mlflow.representations import Mel
from mer_mlflow.training.hyperparameters import CNNSizes, SGDTraining
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class CNNHyperparameters(CNNSizes, SGDTraining):
    """The study's deep-learning defaults: SGD, training stops at an accuracy of 0.90."""


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
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
    cost=0.01,
    step_cost=0.035,
    usual_epochs=200,
    citation="Choi, Fazekas, Sandler, ISMIR 2016; Louro et al., Sensors 2024",
    table=2,
    published={
        "original-4qaed": Scores(precision=61.60, recall=61.21, f1=60.62),
        "new-4qaed-c": Scores(precision=62.46, recall=63.99, f1=61.66),
        "new-4qaed-b": Scores(precision=61.39, recall=63.42, f1=60.28),
    },
)
