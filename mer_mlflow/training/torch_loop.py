"""Training a PyTorch network on examples that stay in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mer_mlflow.arithmetic import PORTABLE, is_in_effect
from mer_mlflow.representations import Examples
from mer_mlflow.training.method import EpochRecord, OnEpoch, Prediction, most_probable
from mer_mlflow.training.normalisation import most_relevant, standardised, statistics
from mer_mlflow.training.steps import PREDICT_BATCH, batches, refuse_divergence

FILE = "network.pt"

Read = Callable[[NDArray[np.int64]], NDArray[np.float32]]
"""Input of the network for some clips [shape=(n_read, ...)]."""


@dataclass(frozen=True, kw_only=True)
class FittedTorchNetwork:
    """A trained network, and the selection and normalisation of its input.

    Attributes
    ----------
    network : from inputs to logits of the quadrants
    sizes : arguments that the network was built with
    columns : features that it reads [shape=(n_kept,)]; empty where it reads all
    mean, scale : statistics of the training clips' input: numbers, or one a feature
        [shape=(n_kept,)]
    """

    network: nn.Module
    sizes: dict[str, Any]
    columns: NDArray[np.int64]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return sum(weights.numel() for weights in self.network.parameters())

    def predict(self, examples: Examples) -> Prediction:
        """Quadrant of each clip, and the probability of every quadrant."""
        return predict_quadrants(self.network, self.reader(examples), n_clips=len(examples))

    def reader(self, examples: Examples) -> Read:
        """Return the function that reads and standardises some of these examples."""
        return lambda batch: standardised(
            examples.read(0, batch), self.columns, self.mean, self.scale
        )

    def save(self, folder: Path) -> None:
        """Write network and normalisation into an existing folder."""
        arrays = {"columns": self.columns, "mean": self.mean, "scale": self.scale}
        kept = {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
        torch.save({**kept, "sizes": self.sizes, "state": self.network.state_dict()}, folder / FILE)


def load_network(folder: Path, *, build: Callable[..., nn.Module]) -> FittedTorchNetwork:
    """Read what :meth:`FittedTorchNetwork.save` wrote.

    Parameters
    ----------
    folder : that holds the network
    build : makes the network of the sizes that it was built with
    """
    kept = torch.load(folder / FILE, weights_only=True)
    network = build(**kept["sizes"])
    network.load_state_dict(kept["state"])
    return FittedTorchNetwork(
        network=network,
        sizes=kept["sizes"],
        columns=kept["columns"].numpy(),
        mean=kept["mean"].numpy(),
        scale=kept["scale"].numpy(),
    )


def train_network(
    train: Examples,
    *,
    build: Callable[..., nn.Module],
    sizes: dict[str, Any],
    optimizer: str,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    stop_accuracy: float,
    by_feature: bool,
    n_features: int | None = None,
    seed: int,
    on_epoch: OnEpoch,
) -> FittedTorchNetwork:
    """Train until the training accuracy is reached or the epochs are over.

    Parameters
    ----------
    train : training examples with one input
    build : makes the network of an ``input_shape`` and ``sizes``, called once everything is seeded
    sizes : further arguments of ``build``
    optimizer : ``sgd`` or ``adam``
    learning_rate : float > 0
    batch_size : int > 0, clips of a step
    epochs : int > 0, at most
    stop_accuracy : training accuracy of an epoch, 0 to 1, that ends the training
    by_feature : whether each feature is standardised by itself, or all values together
    n_features : how many of the most relevant features are kept, None for all values
    seed : of weights, dropout and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is not finite.
    """
    torch.manual_seed(seed)
    order = np.random.default_rng(seed)
    columns = most_relevant(train, n_features)
    shape = (len(columns),) if len(columns) else train.item_shape(0)
    sizes = {"input_shape": shape, **sizes}
    network = build(**sizes)
    mean, scale = statistics(train, columns, by_feature=by_feature)
    fitted = FittedTorchNetwork(
        network=network, sizes=sizes, columns=columns, mean=mean, scale=scale
    )
    weights = [each for each in network.parameters() if each.requires_grad]
    is_adam = optimizer == "adam"
    steps = adam(weights, learning_rate) if is_adam else torch.optim.SGD(weights, learning_rate)
    for epoch in range(1, epochs + 1):
        network.train()
        loss, accuracy = train_epoch(
            network,
            steps,
            fitted.reader(train),
            train.labels,
            order=order.permutation(len(train)),
            batch_size=batch_size,
        )
        refuse_divergence(loss, epoch=epoch, learning_rate=learning_rate)
        on_epoch(EpochRecord(epoch=epoch, loss=loss, accuracy=accuracy), fitted.predict)
        if accuracy >= stop_accuracy:
            break
    return fitted


def train_epoch(
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    read: Read,
    labels: NDArray[np.int64],
    *,
    order: NDArray[np.int64],
    batch_size: int,
) -> tuple[float, float]:
    """Train for one epoch.

    Parameters
    ----------
    network : from inputs to logits, in the mode that it is trained in
    optimizer : of its weights
    read : reads the input of some clips
    labels : quadrants of all clips [shape=(n_clips,)]
    order : positions of the clips, in the order of this epoch [shape=(n_clips,)]
    batch_size : int > 0, clips of a step

    Returns
    -------
    mean loss, and share of the clips that were put into their quadrant before their step
    """
    loss, n_correct = 0.0, 0
    for batch in batches(order, batch_size):
        optimizer.zero_grad()
        logits = network(torch.from_numpy(read(batch)))
        wanted = torch.from_numpy(labels[batch])
        step = nn.functional.cross_entropy(logits, wanted)
        step.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        loss += float(step.detach()) * len(batch)
        n_correct += int((logits.argmax(1) == wanted).sum())
    return loss / len(order), n_correct / len(order)


def predict_quadrants(network: nn.Module, read: Read, *, n_clips: int) -> Prediction:
    """Predict quadrants and their probabilities.

    Parameters
    ----------
    network : from inputs to logits of the quadrants
    read : reads the input of some clips
    n_clips : number of clips
    """
    network.eval()
    with torch.inference_mode():
        logits = [
            network(torch.from_numpy(read(batch)))
            for batch in batches(np.arange(n_clips), PREDICT_BATCH)
        ]
    return most_probable(torch.softmax(torch.cat(logits).double(), dim=1).numpy())


def adam(
    weights: Iterable[Tensor], learning_rate: float, *, weight_decay: float = 0.0
) -> torch.optim.Optimizer:
    """Adam, whose steps are the same on all processors where the arithmetic is portable.

    Parameters
    ----------
    weights : that are trained
    learning_rate : float > 0
    weight_decay : L2 penalty
    """
    # the roots of MKL, which an Adam that is not fused takes, are approximations that differ
    # between processors
    is_fused = True if is_in_effect(PORTABLE) else None
    return torch.optim.Adam(weights, lr=learning_rate, weight_decay=weight_decay, fused=is_fused)
