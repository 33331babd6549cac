"""Training of the baseline CNN on recordings and on synthesised spectrograms."""

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
"""Number of synthesised spectrograms of each quadrant that are shown."""


@dataclass(frozen=True, kw_only=True)
class FittedWithSynthesised:
    """A network trained on recordings and synthesised spectrograms.

    Attributes
    ----------
    network : network that predicts quadrants; the other attributes are not needed to predict
    autoencoder : autoencoder that made the spectrograms, None if none was used
    synthesised : some spectrograms of each quadrant, in decibels
        [shape=(4, n_shown, n_mels, n_frames)]
    numbers : facts about the synthesis, by name
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
        """Predict the quadrant of each clip, and the probability of every quadrant."""
        return self.network.predict(examples)

    def illustrate(self, examples: Examples) -> Illustration:
        """Return synthesised spectrograms, and the autoencoder's reconstructions of clips."""
        own = self.autoencoder.illustrate(examples) if self.autoencoder else Illustration()
        return replace(own, synthesised=self.synthesised, numbers={**own.numbers, **self.numbers})

    def save(self, folder: Path) -> None:
        """Write the network into an existing folder."""
        self.network.save(folder)


def autoencoder_beside(
    train: Examples, hyperparameters: AutoencoderTraining, *, seed: int, on_epoch: OnEpoch
) -> FittedAutoencoder:
    """Train the autoencoder of a methodology with another main network.

    Parameters
    ----------
    train : recordings, whose only input is a spectrogram
    hyperparameters : hyperparameters that include ``AutoencoderTraining``
    seed : seed of weights and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is not finite.
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
    """Train the baseline CNN on training examples and synthesised spectrograms.

    Parameters
    ----------
    train : training examples, whose only input is a spectrogram
    spectrograms : synthesised spectrograms in decibels [shape=(n_made, n_mels, n_frames)]
    quadrants : quadrant of each spectrogram [shape=(n_made,)]
    autoencoder : autoencoder that made the spectrograms, None if none was used
    numbers : facts about the synthesis, by name
    hyperparameters : hyperparameters that include those of the baseline
    seed : seed of weights, dropout and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is not finite.
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
