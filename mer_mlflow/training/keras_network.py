"""Common ``fit`` and ``load`` of networks; Keras is imported only to train or load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.representations import Examples
from mer_mlflow.training.hyperparameters import Role, values_of
from mer_mlflow.training.method import FittedModel, OnEpoch


def fit_network(
    network: Callable[[], Callable[..., Any]], *, by_feature: bool = False
) -> Callable[[Examples, Any, int, OnEpoch], FittedModel]:
    """Return the ``fit`` of a methodology that trains one network on one input.

    Parameters
    ----------
    network : function that returns the architecture, whose arguments are the hyperparameters with
        that role
    by_feature : whether each feature is standardised separately, or all values together
    """

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> FittedModel:
        from mer_mlflow.training.keras_loop import train_network

        return train_network(
            train,
            build=lambda shape: build_network(network(), shape, hyperparameters),
            **values_of(hyperparameters, Role.TRAINING),
            **values_of(hyperparameters, Role.SELECTION),
            by_feature=by_feature,
            seed=seed,
            on_epoch=on_epoch,
        )

    return fit


def build_network(
    architecture: Callable[..., Any], input_shape: tuple[int, ...], hyperparameters: Any
) -> Any:
    """Build a network that predicts quadrants.

    Parameters
    ----------
    architecture : function from shapes and sizes to a Keras model
    input_shape : shape of one clip's input
    hyperparameters : dataclass instance
    """
    sizes = values_of(hyperparameters, Role.ARCHITECTURE)
    return architecture(input_shape=input_shape, n_classes=len(QUADRANTS), **sizes)


def load_network(folder: Path) -> FittedModel:
    """Read a saved network."""
    from mer_mlflow.training import keras_loop

    return keras_loop.load_network(folder)
