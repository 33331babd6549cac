"""Training of a convolutional autoencoder of mel spectrograms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.networks.autoencoder import decoder, encoder
from mer_mlflow.networks.keras_backend import keras
from mer_mlflow.representations import Examples
from mer_mlflow.training.keras_loop import (
    FittedNetwork,
    compile_network,
    load_network,
    outputs,
)
from mer_mlflow.training.method import EpochRecord, Illustration, OnEpoch
from mer_mlflow.training.normalisation import statistics
from mer_mlflow.training.steps import PREDICT_BATCH, batches, refuse_divergence

STAGE = "autoencoder"
DECODER_FILE = "decoder.keras"
N_SHOWN = 3
"""Number of clips whose reconstruction is shown."""


@dataclass(frozen=True, kw_only=True)
class FittedAutoencoder:
    """A trained autoencoder.

    Attributes
    ----------
    encoder : network from spectrograms in decibels to flattened bottlenecks
    decoder : network from bottlenecks to standardised spectrograms
    """

    encoder: FittedNetwork
    decoder: keras.Model

    @property
    def n_parameters(self) -> int:
        """Number of weights of encoder and decoder."""
        return self.encoder.n_parameters + int(self.decoder.count_params())

    def encode(self, examples: Examples) -> NDArray[np.float32]:
        """Compute the bottleneck of each clip [shape=(n_clips, n_values)]."""
        return outputs(self.encoder.network, self.encoder, examples)

    def decode(self, bottlenecks: NDArray[np.floating]) -> NDArray[np.float32]:
        """Decode spectrograms in decibels [shape=(n_made, n_mels, n_frames)].

        Parameters
        ----------
        bottlenecks : flattened bottlenecks [shape=(n_made, n_values)]
        """
        made = [
            keras.ops.convert_to_numpy(
                self.decoder(bottlenecks[batch].astype(np.float32), training=False)
            )
            for batch in batches(np.arange(len(bottlenecks)), PREDICT_BATCH)
        ]
        spectrograms: NDArray[np.float32] = np.concatenate(made)
        return spectrograms * self.encoder.scale + self.encoder.mean

    def illustrate(self, examples: Examples) -> Illustration:
        """Return reconstructions of clips, and their error."""
        squares = 0.0
        first: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = []
        for batch in batches(np.arange(len(examples)), PREDICT_BATCH):
            some = examples.take(batch)
            before, after = some.read(0), self.decode(self.encode(some))
            squares += float(np.square(after - before, dtype=np.float64).sum())
            if not first:
                first = list(zip(before[:N_SHOWN], after[:N_SHOWN], strict=True))
        n_values = len(examples) * np.prod(examples.item_shape(0))
        return Illustration(
            numbers={"reconstruction_rmse_db": float(np.sqrt(squares / n_values))},
            reconstructed=np.array(first, dtype=np.float32),
        )

    def save(self, folder: Path) -> None:
        """Write encoder and decoder into an existing folder."""
        self.encoder.save(folder)
        self.decoder.save(folder / DECODER_FILE)


def load_autoencoder(folder: Path) -> FittedAutoencoder:
    """Read a model written by :meth:`FittedAutoencoder.save`."""
    return FittedAutoencoder(
        encoder=load_network(folder),
        decoder=keras.saving.load_model(folder / DECODER_FILE, compile=False),
    )


def train_autoencoder(
    train: Examples,
    *,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch,
) -> FittedAutoencoder:
    """Train an autoencoder with Adam on the squared error of standardised spectrograms.

    Parameters
    ----------
    train : training examples, whose first input is a spectrogram; labels are not used
    learning_rate : float > 0
    batch_size : int > 0, clips per step
    epochs : int > 0
    seed : seed of weights and order
    on_epoch : called after every epoch

    Raises
    ------
    DivergenceError
        If the loss is not finite.
    """
    keras.utils.set_random_seed(seed)
    order = np.random.default_rng(seed)
    shape = train.item_shape(0)
    halves = encoder(input_shape=shape), decoder(output_shape=shape)
    whole = keras.Sequential(halves)
    compile_network(whole, optimizer=keras.optimizers.Adam(learning_rate), loss="mse")
    everything = np.array([], dtype=np.int64)
    mean, scale = statistics(train, everything, by_feature=False)
    fitted = FittedAutoencoder(
        encoder=FittedNetwork(network=halves[0], columns=everything, mean=mean, scale=scale),
        decoder=halves[1],
    )
    for epoch in range(1, epochs + 1):
        loss = 0.0
        for batch in batches(order.permutation(len(train)), batch_size):
            mels = fitted.encoder.normalised(train, batch)
            loss += float(whole.train_on_batch(mels, mels)) * len(batch)
        loss /= len(train)
        refuse_divergence(loss, epoch=epoch, learning_rate=learning_rate)
        on_epoch(EpochRecord(epoch=epoch, loss=loss, accuracy=None, stage=STAGE), None)
    return fitted
