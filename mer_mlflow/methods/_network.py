"""Recipes that networks share; Keras is imported only when something is trained or loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import mer_mlflow.networks  # noqa: F401, names the backend before Keras is imported
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.methods._method import FittedModel, OnEpoch
from mer_mlflow.representations import Examples

TRAINING = ("optimizer", "learning_rate", "batch_size", "epochs", "stop_accuracy")
"""Hyperparameters of the training."""
SELECTION = "n_features"
"""Hyperparameter of methodologies that keep the most relevant features."""
NETWORK = "network"
"""Hyperparameter of methodologies that read what one of several networks makes of a clip; all
others are the architecture's."""


def fit_network(
    network: Callable[[], Callable[..., Any]], *, by_feature: bool = False
) -> Callable[[Examples, Any, int, OnEpoch], FittedModel]:
    """Make the ``fit`` of a methodology that trains one network on one input.

    Parameters
    ----------
    network : returns the architecture. The methodology's hyperparameters are those of ``TRAINING``,
        maybe ``SELECTION``, and the architecture's arguments
    by_feature : whether each feature is standardised by itself, or all values together
    """

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> FittedModel:
        from mer_mlflow.methods._training import train_network

        return train_network(
            train,
            build=lambda shape: build_network(network(), shape, hyperparameters),
            **{name: getattr(hyperparameters, name) for name in TRAINING},
            by_feature=by_feature,
            n_features=getattr(hyperparameters, SELECTION, None),
            seed=seed,
            on_epoch=on_epoch,
        )

    return fit


def build_network(
    architecture: Callable[..., Any], input_shape: tuple[int, ...], hyperparameters: Any
) -> Any:
    """Build a network that tells quadrants.

    Parameters
    ----------
    architecture : function from shapes and sizes to a Keras model
    input_shape : shape of one clip's input
    hyperparameters : dataclass instance; those of its fields that are of no other use are sizes
    """
    others = (*TRAINING, SELECTION, NETWORK)
    sizes = {name: size for name, size in asdict(hyperparameters).items() if name not in others}
    return architecture(input_shape=input_shape, n_classes=len(QUADRANTS), **sizes)


def load_network(folder: Path) -> FittedModel:
    """Read a network that was saved."""
    from mer_mlflow.methods import _training

    return _training.load_network(folder)
