"""Recipes that PyTorch networks share; PyTorch is imported only to train or load."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.representations import Examples
from mer_mlflow.training.hyperparameters import Role, values_of
from mer_mlflow.training.method import FittedModel, OnEpoch

Network = Callable[[], Callable[..., Any]]
"""Returns the architecture: a function of ``input_shape``, ``n_classes`` and sizes to a module."""


def fit_network(
    network: Network, *, by_feature: bool = False
) -> Callable[[Examples, Any, int, OnEpoch], FittedModel]:
    """Make the ``fit`` of a methodology that trains one PyTorch network on one input.

    Parameters
    ----------
    network : returns the architecture, whose arguments are ``input_shape`` (of one clip),
        ``n_classes`` and the hyperparameters of that role; its outputs are logits
    by_feature : whether each feature is standardised by itself, or all values together
    """

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> FittedModel:
        from mer_mlflow.training.torch_loop import train_network

        sizes = values_of(hyperparameters, Role.ARCHITECTURE)
        return train_network(
            train,
            build=network(),
            sizes={"n_classes": len(QUADRANTS), **sizes},
            **values_of(hyperparameters, Role.TRAINING),
            **values_of(hyperparameters, Role.SELECTION),
            by_feature=by_feature,
            seed=seed,
            on_epoch=on_epoch,
        )

    return fit


def load_network(network: Network) -> Callable[[Path], FittedModel]:
    """Make the ``load`` of a methodology that trains one PyTorch network.

    Parameters
    ----------
    network : returns the architecture
    """

    def load(folder: Path) -> FittedModel:
        from mer_mlflow.training import torch_loop

        return torch_loop.load_network(folder, build=network())

    return load
