"""Transfer learning in PyTorch: a new output on a pretrained network, frozen or fine-tuned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_mlflow.arithmetic import PORTABLE, is_in_effect
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.networks.won_crnn import N_UNITS, WonCRNN, trunk_above
from mer_mlflow.representations import Examples
from mer_mlflow.training.method import EpochRecord, OnEpoch, Prediction, most_probable
from mer_mlflow.training.steps import PREDICT_BATCH, batches, refuse_divergence

FILE = "network.pt"
MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
"""Parameters of the optimizers, as in Won et al.'s published code."""
PHASE_ENDS = (80, 99, 119)
"""Last epoch of each phase except the final one: Adam in the first phase, then SGD."""
RATES = (1.0, 0.1, 0.01, 0.001)
"""Learning rate of each phase, relative to the first."""


@dataclass(frozen=True, kw_only=True)
class FittedTransfer:
    """A network with a new output for quadrants.

    Attributes
    ----------
    network : network from inputs to logits of the quadrants
    layer : layer of the published network whose outputs are the inputs
    """

    network: nn.Sequential
    layer: str

    @property
    def n_parameters(self) -> int:
        """Number of weights, including frozen ones."""
        return sum(weights.numel() for weights in self.network.parameters())

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        self.network.eval()
        with torch.inference_mode():
            logits = [
                self.network(_read(examples, batch))
                for batch in batches(np.arange(len(examples)), PREDICT_BATCH)
            ]
        probabilities = torch.softmax(torch.cat(logits).double(), dim=1)
        return most_probable(probabilities.numpy())

    def save(self, folder: Path) -> None:
        """Write the weights into an existing folder."""
        kept = {"layer": self.layer, "state": self.network.state_dict()}
        torch.save(kept, folder / FILE)


def load_transfer(folder: Path) -> FittedTransfer:
    """Read a model written by :meth:`FittedTransfer.save`."""
    kept = torch.load(folder / FILE, weights_only=True)
    trunk = trunk_above(kept["layer"], WonCRNN())
    network = nn.Sequential(trunk, output_layer(N_UNITS, dropout=0.0))
    network.load_state_dict(kept["state"])
    return FittedTransfer(network=network, layer=kept["layer"])


def output_layer(n_values: int, *, dropout: float) -> nn.Sequential:
    """Return dropout and a dense layer for the quadrants."""
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
    """Train a new output, and the trunk before it unless it is frozen.

    A frozen trunk works as in inference: without dropout, and with its published statistics. Its
    outputs are constant, so training gives the same result whether they are precomputed inputs (and
    the trunk is empty) or computed in each step.

    Parameters
    ----------
    train : training examples, whose first input is that of the trunk
    layer : layer of the published network whose outputs are the inputs
    trunk : function that returns the layers between the inputs and the new output
    is_frozen : whether the trunk is frozen
    dropout : dropout rate before the output
    learning_rate : float > 0, learning rate of Adam until epoch 80; then SGD with a tenth of it,
        a hundredth from epoch 100 and a thousandth from epoch 120
    batch_size : int > 0, clips per step
    epochs : int > 0, maximum number of epochs
    stop_accuracy : training accuracy of an epoch, 0 to 1, at which training stops
    seed : seed of weights, dropout and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is not finite.
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
        loss, accuracy = _train_epoch(
            network, optimizer, train, order.permutation(len(train)), batch_size
        )
        refuse_divergence(loss, epoch=epoch, learning_rate=learning_rate)
        on_epoch(EpochRecord(epoch=epoch, loss=loss, accuracy=accuracy), fitted.predict)
        if accuracy >= stop_accuracy:
            break
    return fitted


def _train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    train: Examples,
    order: NDArray[np.int64],
    batch_size: int,
) -> tuple[float, float]:
    labels = torch.from_numpy(train.labels)
    loss, n_correct = 0.0, 0
    for batch in batches(order, batch_size):
        optimizer.zero_grad()
        logits = network(_read(train, batch))
        wanted = labels[torch.from_numpy(batch)]
        step = nn.functional.cross_entropy(logits, wanted)
        step.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss += float(step.detach()) * len(batch)
        n_correct += int((logits.argmax(1) == wanted).sum())
    return loss / len(order), n_correct / len(order)


def _read(examples: Examples, batch: NDArray[np.int64]) -> Tensor:
    return torch.from_numpy(examples.read(0, batch).astype(np.float32))


def _optimizer(network: nn.Module, phase: int, learning_rate: float) -> torch.optim.Optimizer:
    weights = [each for each in network.parameters() if each.requires_grad]
    rate = RATES[phase] * learning_rate
    if phase == 0:
        # other implementations of Adam use MKL's approximate square roots, which differ between
        # processors
        is_fused = True if is_in_effect(PORTABLE) else None
        return torch.optim.Adam(weights, lr=rate, weight_decay=WEIGHT_DECAY, fused=is_fused)
    return torch.optim.SGD(
        weights, lr=rate, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
