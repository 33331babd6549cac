"""CNN + GRU: the deep baseline with two recurrent layers over time.

Values that the study does not publish are those of the baseline; the GRU layers have 64 units.

References
----------
K. Choi, G. Fazekas, M. Sandler, K. Cho, "Convolutional recurrent neural networks for music
classification", ICASSP 2017.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.representations import Mel
from mer_mlflow.training.hyperparameters import CNNSizes, Role, SGDTraining, searchable
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class CNNGRUHyperparameters(CNNSizes, SGDTraining):
    """Hyperparameters of the baseline, and the number of units of the GRU layers."""

    gru_units: int = searchable(64, Role.ARCHITECTURE, low=1, grid=(32, 64, 128))


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.cnn import cnn_gru

    return cnn_gru


METHOD = Method(
    name="cnn_gru",
    title="CNN + GRU",
    summary="The baseline CNN's front end, then two GRU layers and a dense back end.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CNNGRUHyperparameters,
    fit=fit_network(network),
    load=load_network,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.02,
    citation="Choi et al., ICASSP 2017; Louro et al., Sensors 2024",
    table=3,
    baseline="cnn",
    published={
        "original-4qaed": Scores(precision=61.58, recall=61.01, f1=60.07),
        "new-4qaed-c": Scores(precision=62.29, recall=62.46, f1=61.99),
        "new-4qaed-b": Scores(precision=60.69, recall=60.01, f1=58.85),
    },
)
