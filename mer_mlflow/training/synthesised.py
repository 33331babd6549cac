"""Training the baseline CNN on recordings and on spectrograms that were made of no single one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.networks.cnn import cnn
from mer_mlflow.representations import Examples
from mer_mlflow.training.autoencoder import FittedAutoencoder, train_autoencoder
from mer_mlflow.training.hyperparameters import AutoencoderTraining, Role, values_of
from mer_mlflow.training.keras_loop import FittedNetwork, train_network
from mer_mlflow.training.keras_network import build_network
from mer_mlflow.training.method import EpochRecord, Illustration, OnEpoch, Predict, Prediction

STAGE = "cnn"
N_SHOWN = 3
"""Synthesised spectrograms of each quadrant that are shown."""


@dataclass(frozen=True, kw_only=True)
class FittedWithSynthesised:
    """A network that was trained on recordings and synthesised spectrograms.

    Attributes
    ----------
    network : predicts quadrants; nothing else is needed to predict
    autoencoder : by which the spectrograms were made, None where it was none
    synthesised : a few of those of each quadrant, in decibels
        [shape=(4, n_shown, n_mels, n_frames)]
    numbers : what is to be known of how they were made
    """

    network: FittedNetwork
    autoencoder: FittedAutoencoder | None
    synthesised: NDArray[np.float32]
    numbers: dict[str, float]

    @property
    def n_parameters(self) -> int:
        """Number of weights of the network."""
        return self.network.n_parameters

    def predict(self, examples: Examples) -> Prediction:
        """Quadrant of each clip, and the probability of every quadrant."""
        return self.network.predict(examples)

    def illustrate(self, examples: Examples) -> Illustration:
        """Show synthesised spectrograms, and what the autoencoder makes of clips."""
        own = self.autoencoder.illustrate(examples) if self.autoencoder else Illustration()
        return replace(own, synthesised=self.synthesised, numbers={**own.numbers, **self.numbers})

    def save(self, folder: Path) -> None:
        """Write the network into an existing folder."""
        self.network.save(folder)


def autoencoder_beside(
    train: Examples, hyperparameters: AutoencoderTraining, *, seed: int, on_epoch: OnEpoch
) -> FittedAutoencoder:
    """Train the autoencoder of a methodology whose main network is another.

    Parameters
    ----------
    train : recordings, whose one input is a spectrogram
    hyperparameters : that extend those of the autoencoder's training
    seed : of weights and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is no longer a finite number.
    """
    return train_autoencoder(
        train,
        learning_rate=hyperparameters.autoencoder_learning_rate,
        batch_size=hyperparameters.autoencoder_batch_size,
        epochs=hyperparameters.autoencoder_epochs,
        seed=seed,
        on_epoch=on_epoch,
    )


def train_with_synthesised(
    train: Examples,
    *,
    spectrograms: NDArray[np.float32],
    quadrants: NDArray[np.int64],
    autoencoder: FittedAutoencoder | None,
    numbers: dict[str, float],
    hyperparameters: Any,
    seed: int,
    on_epoch: OnEpoch,
) -> FittedWithSynthesised:
    """Train the baseline CNN on training examples and synthesised spectrograms together.

    Parameters
    ----------
    train : training examples, whose one input is a spectrogram
    spectrograms : synthesised, in decibels [shape=(n_made, n_mels, n_frames)]
    quadrants : of each [shape=(n_made,)]
    autoencoder : by which they were made, None where it was none
    numbers : what is to be known of how they were made
    hyperparameters : with the fields of the baseline's
    seed : of weights, dropout and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is no longer a finite number.
    """

    def on_network_epoch(record: EpochRecord, predict: Predict | None) -> None:
        on_epoch(replace(record, stage=STAGE), predict)

    network = train_network(
        train.followed_by(spectrograms, quadrants),
        build=lambda shape: build_network(cnn, shape, hyperparameters),
        **values_of(hyperparameters, Role.TRAINING),
        by_feature=False,
        seed=seed,
        on_epoch=on_network_epoch,
    )
    of_each = [spectrograms[quadrants == quadrant] for quadrant in range(len(QUADRANTS))]
    n_shown = min(N_SHOWN, *(len(made) for made in of_each))
    return FittedWithSynthesised(
        network=network,
        autoencoder=autoencoder,
        synthesised=np.stack([made[:n_shown] for made in of_each]),
        numbers={"n_synthesised": float(len(spectrograms)), **numbers},
    )
