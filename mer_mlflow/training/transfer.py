"""Transfer learning from a published CRNN; PyTorch is imported only to train or load."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mer_mlflow.errors import WeightsError
from mer_mlflow.representations import Embedding, Examples
from mer_mlflow.representations.pretrained import won_crnn
from mer_mlflow.training.hyperparameters import Role, searchable
from mer_mlflow.training.method import FittedModel, OnEpoch

LAYERS = {"head": won_crnn.GRU, "last_block": won_crnn.LAST_BLOCK, "all": won_crnn.MEL}
"""Layer whose outputs are the inputs of the trained layers, by ``unfreeze``."""


@dataclass(frozen=True, kw_only=True)
class TransferCRNNHyperparameters:
    """Adam until epoch 80, then SGD with decreasing learning rates.

    unfreeze : layers that are trained in addition to the new output: none (``head``), the recurrent
    layers (``last_block``) or all layers.
    """

    learning_rate: float = searchable(
        0.001, Role.TRAINING, low=0.0, exclusive_low=True, grid=(0.0005, 0.001, 0.005)
    )
    batch_size: int = searchable(16, Role.TRAINING | Role.BATCH, low=1, grid=(8, 16, 32))
    epochs: int = searchable(200, Role.TRAINING | Role.EPOCHS, low=1, grid=(100, 200, 300))
    stop_accuracy: float = searchable(0.9, Role.TRAINING, low=0.0, high=1.0)
    dropout: float = searchable(0.5, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.3, 0.5))
    unfreeze: str = searchable("head", Role.TRAINING | Role.INPUTS, choices=tuple(LAYERS))


def transfer_inputs(network: str) -> Callable[[Any], tuple[Embedding, ...]]:
    """Return the ``reads`` of a methodology: its inputs are outputs of the frozen layers.

    Parameters
    ----------
    network : name of the published weights
    """
    return lambda chosen: (Embedding(network=network, layer=LAYERS[chosen.unfreeze]),)


def fit_transfer(network: str) -> Callable[[Examples, Any, int, OnEpoch], FittedModel]:
    """Return the ``fit`` of a methodology that trains a new output on a published CRNN.

    Parameters
    ----------
    network : name of the published weights
    """

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> FittedModel:
        from mer_mlflow.networks.won_crnn import trunk_above
        from mer_mlflow.training.torch_transfer import train_transfer

        layer = LAYERS[hyperparameters.unfreeze]
        is_frozen = layer == won_crnn.GRU
        if not is_frozen and network not in train.weights:
            raise WeightsError(f"{network}: no weights to train further")
        return train_transfer(
            train,
            layer=layer,
            trunk=lambda: trunk_above(
                layer, None if is_frozen else won_crnn.load_trainable(train.weights[network])
            ),
            is_frozen=is_frozen,
            dropout=hyperparameters.dropout,
            learning_rate=hyperparameters.learning_rate,
            batch_size=hyperparameters.batch_size,
            epochs=hyperparameters.epochs,
            stop_accuracy=hyperparameters.stop_accuracy,
            seed=seed,
            on_epoch=on_epoch,
        )

    return fit


def load_transfer(folder: Path) -> FittedModel:
    """Read a saved network."""
    from mer_mlflow.training import torch_transfer

    return torch_transfer.load_transfer(folder)
