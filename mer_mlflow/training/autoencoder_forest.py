"""Random forest on the bottleneck of an autoencoder, both trained on the same clips."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from mer_mlflow.representations import Examples
from mer_mlflow.training.autoencoder import (
    FittedAutoencoder,
    load_autoencoder,
    train_autoencoder,
)
from mer_mlflow.training.estimators import FittedEstimator, load_estimator
from mer_mlflow.training.method import Illustration, OnEpoch, Prediction


@dataclass(frozen=True, kw_only=True)
class FittedEmbedding:
    """An autoencoder, and a random forest on its bottleneck.

    Attributes
    ----------
    autoencoder : trained without labels
    forest : predicts quadrants from flattened bottlenecks
    """

    autoencoder: FittedAutoencoder
    forest: FittedEstimator

    @property
    def n_parameters(self) -> int:
        """Number of weights of the autoencoder."""
        return self.autoencoder.n_parameters

    def predict(self, examples: Examples) -> Prediction:
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        return self.forest.predict(_embedded(self.autoencoder, examples))

    def illustrate(self, examples: Examples) -> Illustration:
        """Return reconstructions of clips, and their error."""
        return self.autoencoder.illustrate(examples)

    def save(self, folder: Path) -> None:
        """Write autoencoder and forest into an existing folder."""
        self.autoencoder.save(folder)
        self.forest.save(folder)


def load_embedding(folder: Path) -> FittedEmbedding:
    """Read a model written by :meth:`FittedEmbedding.save`."""
    return FittedEmbedding(autoencoder=load_autoencoder(folder), forest=load_estimator(folder))


def train_embedding(
    train: Examples,
    *,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    n_estimators: int,
    seed: int,
    on_epoch: OnEpoch,
) -> FittedEmbedding:
    """Train an autoencoder on recordings, and a forest on the bottlenecks of all examples.

    Parameters
    ----------
    train : training examples, whose first input is a spectrogram
    learning_rate, batch_size, epochs : training parameters of the autoencoder
    n_estimators : int > 0, number of trees
    seed : seed of weights, order and trees
    on_epoch : called after every epoch of the autoencoder

    Raises
    ------
    DivergenceError
        If the loss is not finite.
    """
    autoencoder = train_autoencoder(
        train.recordings(),
        learning_rate=learning_rate,
        batch_size=batch_size,
        epochs=epochs,
        seed=seed,
        on_epoch=on_epoch,
    )
    embedded = _embedded(autoencoder, train)
    forest = RandomForestClassifier(n_estimators=n_estimators, random_state=seed)
    forest.fit(embedded.read(0), train.labels)
    return FittedEmbedding(autoencoder=autoencoder, forest=FittedEstimator(estimator=forest))


def _embedded(autoencoder: FittedAutoencoder, examples: Examples) -> Examples:
    return Examples(
        inputs=(autoencoder.encode(examples),),
        positions=np.arange(len(examples)),
        quadrants=examples.quadrants,
    )
