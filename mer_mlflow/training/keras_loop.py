"""Training of a Keras network on examples that are read from the store in batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.networks.blocks import FRONT_END
from mer_mlflow.networks.keras_backend import keras
from mer_mlflow.representations import Examples
from mer_mlflow.training.method import EpochRecord, OnEpoch, Prediction, most_probable
from mer_mlflow.training.normalisation import most_relevant, standardised, statistics
from mer_mlflow.training.steps import PREDICT_BATCH, batches, refuse_divergence

NETWORK_FILE = "network.keras"
NORMALISATION_FILE = "normalisation.npz"


@dataclass(frozen=True, kw_only=True)
class FittedNetwork:
    """A trained network and the normalisation of its input.

    Attributes
    ----------
    network : network with a softmax over the quadrants
    columns : positions of the selected features [shape=(n_kept,)]; empty for all
    mean, scale : statistics of the training clips' input: scalars, or one value per feature
        [shape=(n_features,)]
    """

    network: keras.Model
    columns: NDArray[np.int64]
    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @property
    def n_parameters(self) -> int:
        """Number of weights."""
        return int(self.network.count_params())

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        raw = outputs(self.network, self, examples).astype(np.float64)
        return most_probable(raw / raw.sum(axis=1, keepdims=True))

    @property
    def front_end_size(self) -> int:
        """Number of outputs of the network's front end."""
        return int(self.network.get_layer(FRONT_END).output.shape[1])

    def front_end(self, examples: Examples) -> NDArray[np.float32]:
        """Compute the outputs of the network's front end [shape=(n_clips, n_values)]."""
        end = self.network.get_layer(FRONT_END).output
        return outputs(keras.Model(self.network.input, end), self, examples)

    def save(self, folder: Path) -> None:
        """Write network and normalisation into an existing folder."""
        self.network.save(folder / NETWORK_FILE)
        np.savez(
            folder / NORMALISATION_FILE, columns=self.columns, mean=self.mean, scale=self.scale
        )

    def normalised(self, examples: Examples, indices: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the normalised input of some examples [shape=(n_read, ...)]."""
        return standardised(examples.read(0, indices), self.columns, self.mean, self.scale)


def load_network(folder: Path) -> FittedNetwork:
    """Read a model written by :meth:`FittedNetwork.save`."""
    with np.load(folder / NORMALISATION_FILE) as kept:
        return FittedNetwork(
            network=keras.saving.load_model(folder / NETWORK_FILE, compile=False),
            columns=kept["columns"],
            mean=kept["mean"],
            scale=kept["scale"],
        )


def train_network(
    train: Examples,
    *,
    build: Callable[[tuple[int, ...]], keras.Model],
    optimizer: str,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    stop_accuracy: float,
    by_feature: bool,
    n_features: int | None = None,
    seed: int,
    on_epoch: OnEpoch,
) -> FittedNetwork:
    """Train until the training accuracy or the maximum number of epochs is reached.

    Parameters
    ----------
    train : training examples, read in batches from the first input
    build : function that returns the network for an input shape; called after seeding
    optimizer : name of a Keras optimizer
    learning_rate : float > 0
    batch_size : int > 0, clips per step
    epochs : int > 0, maximum number of epochs
    stop_accuracy : training accuracy of an epoch, 0 to 1, at which training stops
    by_feature : whether each feature is standardised separately, as for columns of a table, or
        all values together, as for a spectrogram
    n_features : number of most relevant features that are selected, None for all
    seed : seed of weights, dropout and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is not finite.
    """
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed)
    columns = most_relevant(train, n_features)
    network = build((len(columns),) if len(columns) else train.item_shape(0))
    config = {"class_name": optimizer, "config": {"learning_rate": learning_rate}}
    compile_network(
        network,
        optimizer=keras.optimizers.get(config),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    mean, scale = statistics(train, columns, by_feature=by_feature)
    fitted = FittedNetwork(network=network, columns=columns, mean=mean, scale=scale)
    for epoch in range(1, epochs + 1):
        loss, accuracy = _train_epoch(fitted, train, order.permutation(len(train)), batch_size)
        refuse_divergence(loss, epoch=epoch, learning_rate=learning_rate)
        on_epoch(EpochRecord(epoch=epoch, loss=loss, accuracy=accuracy), fitted.predict)
        if accuracy >= stop_accuracy:
            break
    return fitted


def compile_network(
    network: keras.Model,
    *,
    optimizer: keras.optimizers.Optimizer,
    loss: str | keras.losses.Loss,
    metrics: Sequence[str] = (),
) -> None:
    """Compile a network and build its optimizer.

    Parameters
    ----------
    network : network with weights
    optimizer : optimizer of its trainable weights
    loss, metrics : loss and metrics of a batch
    """
    network.compile(optimizer=optimizer, loss=loss, metrics=list(metrics), jit_compile=False)
    # otherwise TensorFlow traces the first step twice, because the first trace creates variables
    optimizer.build(network.trainable_variables)


def _train_epoch(
    fitted: FittedNetwork,
    train: Examples,
    order: NDArray[np.int64],
    batch_size: int,
) -> tuple[float, float]:
    loss, n_correct = 0.0, 0
    for batch in batches(order, batch_size):
        logs = fitted.network.train_on_batch(
            fitted.normalised(train, batch), train.labels[batch], return_dict=True
        )
        loss += float(logs["loss"]) * len(batch)
        n_correct += round(float(logs["accuracy"]) * len(batch))  # single precision
    return loss / len(order), n_correct / len(order)


def outputs(network: keras.Model, fitted: FittedNetwork, examples: Examples) -> NDArray[np.float32]:
    """Outputs of a network for examples that a fitted network's normalisation is applied to."""
    values = [
        keras.ops.convert_to_numpy(network(fitted.normalised(examples, batch), training=False))
        for batch in batches(np.arange(len(examples)), PREDICT_BATCH)
    ]
    return np.concatenate(values)
