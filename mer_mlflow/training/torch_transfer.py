"""Training a new output on a pretrained PyTorch network, frozen or in part trained further."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.networks.won_crnn import N_UNITS, WonCRNN, trunk_above
from mer_mlflow.representations import Examples
from mer_mlflow.training.method import EpochRecord, OnEpoch, Prediction
from mer_mlflow.training.steps import refuse_divergence
from mer_mlflow.training.torch_loop import adam, predict_quadrants, train_epoch

FILE = "network.pt"
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
"""Of the optimizers, as Won et al.'s published training has them."""
PHASE_ENDS = (80, 99, 119)
"""Last epoch of each phase but the last: Adam in the first, gradient descent in the others."""
RATES = (1.0, 0.1, 0.01, 0.001)
"""Learning rate of each phase as a share of the first."""


@dataclass(frozen=True, kw_only=True)
class FittedTransfer:
    """A network whose output was trained on the quadrants.

    Attributes
    ----------
    network : from inputs to logits of the quadrants
    layer : of the published network, whose values are the inputs
    """

    network: nn.Sequential
    layer: str

    @property
    def n_parameters(self) -> int:
        """Number of weights, frozen ones too."""
        return sum(weights.numel() for weights in self.network.parameters())

    def predict(self, examples: Examples) -> Prediction:
        """Quadrant of each clip, and the probability of every quadrant."""
        return predict_quadrants(
            self.network,
            lambda batch: examples.read(0, batch).astype(np.float32),
            n_clips=len(examples),
        )

    def save(self, folder: Path) -> None:
        """Write the weights into an existing folder."""
        kept = {"layer": self.layer, "state": self.network.state_dict()}
        torch.save(kept, folder / FILE)


def load_transfer(folder: Path) -> FittedTransfer:
    """Read what :meth:`FittedTransfer.save` wrote."""
    kept = torch.load(folder / FILE, weights_only=True)
    trunk = trunk_above(kept["layer"], WonCRNN())
    network = nn.Sequential(trunk, output_layer(N_UNITS, dropout=0.0))
    network.load_state_dict(kept["state"])
    return FittedTransfer(network=network, layer=kept["layer"])


def output_layer(n_values: int, *, dropout: float) -> nn.Sequential:
    """Dropout and a dense layer to the quadrants."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(n_values, len(QUADRANTS)))


def train_transfer(
    train: Examples,
    *,
    layer: str,
    trunk: Callable[[], nn.Module],
    is_frozen: bool,
    dropout: float,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    stop_accuracy: float,
    seed: int,
    on_epoch: OnEpoch,
) -> FittedTransfer:
    """Train a new output, and the trunk below it unless it is frozen.

    A frozen trunk works as in inference, without dropout and with the statistics that it came with.
    Its outputs do not change, so training gives the same whether they are the inputs (and the trunk
    is empty) or are computed in each step.

    Parameters
    ----------
    train : training examples, whose first input the trunk reads
    layer : of the published network, whose values are the inputs
    trunk : makes what lies between them and the output
    is_frozen : whether that stays as it is
    dropout : rate before the output
    learning_rate : float > 0, of Adam until epoch 80; then a tenth, a hundredth from epoch 100 and
        a thousandth from epoch 120 of it, of stochastic gradient descent
    batch_size : int > 0, clips of a step
    epochs : int > 0, at most
    stop_accuracy : training accuracy of an epoch, 0 to 1, that ends the training
    seed : of weights, dropout and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is no longer a finite number.
    """
    torch.manual_seed(seed)
    output = output_layer(N_UNITS, dropout=dropout)
    below = trunk()
    network = nn.Sequential(below, output)
    fitted = FittedTransfer(network=network, layer=layer)
    below.requires_grad_(not is_frozen)
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    optimizer = _optimizer(network, 0, learning_rate)
    for epoch in range(1, epochs + 1):
        if epoch - 1 in PHASE_ENDS:
            optimizer = _optimizer(network, 1 + PHASE_ENDS.index(epoch - 1), learning_rate)
        network.train()
        below.train(not is_frozen)
        loss, accuracy = train_epoch(
            network,
            optimizer,
            lambda batch: train.read(0, batch).astype(np.float32),
            train.labels,
            order=order.permutation(len(train)),
            batch_size=batch_size,
        )
        refuse_divergence(loss, epoch=epoch, learning_rate=learning_rate)
        on_epoch(EpochRecord(epoch=epoch, loss=loss, accuracy=accuracy), fitted.predict)
        if accuracy >= stop_accuracy:
            break
    return fitted


def _optimizer(network: nn.Module, phase: int, learning_rate: float) -> torch.optim.Optimizer:
    weights = [each for each in network.parameters() if each.requires_grad]
    rate = RATES[phase] * learning_rate
    if phase == 0:
        return adam(weights, rate, weight_decay=WEIGHT_DECAY)
    return torch.optim.SGD(
        weights, lr=rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
