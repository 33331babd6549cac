"""CRNN: convolution blocks for timbre, recurrent layers for its change over time.

Optimizer, batch size and dropout are those of the original article. The study does not publish the
learning rate of this experiment; it is that of the same network in its transfer experiments.

References
----------
K. Choi, G. Fazekas, M. Sandler, K. Cho, "Convolutional recurrent neural networks for music
classification", ICASSP 2017.
M. Won, A. Ferraro, D. Bogdanov, X. Serra, "Evaluation of CNN-based automatic music tagging models",
SMC 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.representations import Mel
from mer_mlflow.training.hyperparameters import AdamTraining, Role, searchable
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class CRNNHyperparameters(AdamTraining):
    """Values of the original article, otherwise the study's deep-learning defaults."""

    batch_size: int = searchable(16, Role.TRAINING | Role.BATCH, low=1, grid=(8, 16, 32))
    gru_units: int = searchable(32, Role.ARCHITECTURE, low=1, grid=(16, 32, 64))
    dropout: float = searchable(0.5, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.3, 0.4, 0.5))


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.crnn import crnn

    return crnn


METHOD = Method(
    name="crnn",
    title="CRNN",
    summary="Four convolution blocks on the mel spectrogram, then two GRU layers.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CRNNHyperparameters,
    fit=fit_network(network),
    load=load_network,
    shortest=3.1,
    framework="keras",
    quick_epochs=2,
    cost=0.2,
    citation="Choi et al., ICASSP 2017; Won et al., SMC 2020",
    table=3,
    published={
        "original-4qaed": Scores(precision=65.14, recall=65.07, f1=64.63),
        "new-4qaed-c": Scores(precision=64.20, recall=64.03, f1=64.09),
        "new-4qaed-b": Scores(precision=63.31, recall=63.34, f1=62.54),
    },
)
