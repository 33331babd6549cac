"""DNN on all 1714 handcrafted features, with decreasing layer widths as a feature selection.

The study does not publish the sizes: here four hidden layers of 800, 400, 200 and 100 units with
dropout are trained with its deep-learning defaults. Features are standardised on the training
clips. If the dataset has no table of all features, they are extracted from audio.

References
----------
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
R. Panda, R. Malheiro, R. P. Paiva, "Novel audio features for music emotion recognition",
IEEE Transactions on Affective Computing 11(4), 2020.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mer_mlflow.representations import Features
from mer_mlflow.training.hyperparameters import Role, SGDTraining, searchable
from mer_mlflow.training.keras_network import fit_network, load_network
from mer_mlflow.training.method import Method, Scores


@dataclass(frozen=True, kw_only=True)
class DNN1714Hyperparameters(SGDTraining):
    """The study's deep-learning defaults; widths are halved from ``first_units`` on."""

    first_units: int = searchable(800, Role.ARCHITECTURE, low=1, grid=(400, 800, 1600))
    n_layers: int = searchable(4, Role.ARCHITECTURE, low=1, high=20, grid=(3, 4, 5))
    dropout: float = searchable(0.4, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.2, 0.4, 0.5))


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.dnn import narrowing_dnn

    return narrowing_dnn


METHOD = Method(
    name="dnn_1714",
    title="DNN, all features",
    summary="Dense network with decreasing widths, on all handcrafted features.",
    version=2,
    inputs=(Features(table="all"),),
    hyperparameters=DNN1714Hyperparameters,
    fit=fit_network(network, by_feature=True),
    load=load_network,
    shortest=0.0,
    framework="keras",
    quick_epochs=20,
    cost=0.00013,
    step_cost=0.004,
    citation="Louro et al., Sensors 2024",
    table=3,
    published={
        "original-4qaed": Scores(precision=69.41, recall=69.27, f1=69.18),
        "new-4qaed-c": Scores(precision=69.01, recall=69.00, f1=68.63),
        "new-4qaed-b": Scores(precision=68.58, recall=68.40, f1=68.05),
    },
)
