"""Recipes that networks share; Keras is imported only when something is trained or loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mer_mlflow.networks  # noqa: F401, names the backend before Keras is imported
from mer_mlflow.methods._method import FittedModel, OnEpoch
from mer_mlflow.representations import Examples


def fit_network(
    build: Callable[[tuple[int, ...], Any], Any],
    *,
    by_feature: bool = False,
) -> Callable[[Examples, Any, int, OnEpoch], FittedModel]:
    """Make the ``fit`` of a methodology that trains one network on one input.

    Parameters
    ----------
    build : (shape of one clip's input, hyperparameters) -> Keras model, not compiled. The
        hyperparameters have ``optimizer``, ``learning_rate``, ``batch_size``, ``epochs`` and
        ``stop_accuracy`` among them
    by_feature : whether each feature is standardised by itself, or all values together
    """

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> FittedModel:
        from mer_mlflow.methods._training import train_network

        return train_network(
            train,
            build=lambda: build(train.item_shape(0), hyperparameters),
            optimizer=hyperparameters.optimizer,
            learning_rate=hyperparameters.learning_rate,
            batch_size=hyperparameters.batch_size,
            epochs=hyperparameters.epochs,
            stop_accuracy=hyperparameters.stop_accuracy,
            by_feature=by_feature,
            seed=seed,
            on_epoch=on_epoch,
        )

    return fit


def load_network(folder: Path) -> FittedModel:
    """Read a network that was saved."""
    from mer_mlflow.methods import _training

    return _training.load_network(folder)
