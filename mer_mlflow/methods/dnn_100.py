"""DNN on the 100 most relevant handcrafted features, with decreasing layer widths.

The study does not publish the sizes: here three hidden layers of 80, 40 and 20 units are trained
with its deep-learning defaults. A published table of the top 100 is used unchanged. From a larger
table, or from features extracted from audio, the 100 most relevant are selected on the training
clips. Features are standardised on the training clips too.

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
class DNN100Hyperparameters(SGDTraining):
    """The study's deep-learning defaults; widths are halved from ``first_units`` on."""

    first_units: int = searchable(80, Role.ARCHITECTURE, low=1, grid=(40, 80, 160))
    n_features: int = searchable(100, Role.SELECTION, low=1)
    n_layers: int = searchable(3, Role.ARCHITECTURE, low=1, high=20, grid=(2, 3, 4))
    dropout: float = searchable(0.0, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.0, 0.2, 0.4))


def network() -> Callable[..., Any]:
    """Return the architecture, imported when it is needed."""
    from mer_mlflow.networks.dnn import narrowing_dnn

    return narrowing_dnn


METHOD = Method(
    name="dnn_100",
    title="DNN, top 100",
    summary="Dense network with decreasing widths, on the 100 most relevant features.",
    version=2,
    inputs=(Features(table="top100"),),
    hyperparameters=DNN100Hyperparameters,
    fit=fit_network(network, by_feature=True),
    load=load_network,
    shortest=0.0,
    framework="keras",
    quick_epochs=20,
    cost=0.00002,
    step_cost=0.001,
    usual_epochs=200,
    citation="Louro et al., Sensors 2024",
    table=3,
    published={
        "original-4qaed": Scores(precision=72.61, recall=72.74, f1=72.48),
        "new-4qaed-c": Scores(precision=67.63, recall=67.67, f1=67.40),
        "new-4qaed-b": Scores(precision=67.77, recall=67.72, f1=67.41),
    },
)
