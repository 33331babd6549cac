"""Adversarial training of one generator per quadrant, followed by an autoencoder's decoder.

References
----------
I. Goodfellow et al., "Generative adversarial nets", NIPS 2014.
A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks", ICLR 2016: Adam with a first momentum of 0.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.networks.autoencoder import critic, generator
from mer_mlflow.networks.keras_backend import keras
from mer_mlflow.representations import Examples
from mer_mlflow.training.autoencoder import FittedAutoencoder
from mer_mlflow.training.keras_loop import compile_network
from mer_mlflow.training.method import EpochRecord, OnEpoch
from mer_mlflow.training.steps import batches, refuse_divergence

N_NOISE = 64
FIRST_MOMENTUM = 0.5
DROPOUT = 0.3
RECORDED, GENERATED = 0.9, 0.0
"""Targets of the critic; below 1 for recordings (label smoothing)."""


def generate(
    train: Examples,
    autoencoder: FittedAutoencoder,
    *,
    n_each: int,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Train a generator for each quadrant, and generate spectrograms.

    Parameters
    ----------
    train : training examples, whose first input is a spectrogram
    autoencoder : trained on the same examples; its decoder is not trained further
    n_each : int > 0, spectrograms per quadrant
    learning_rate : float > 0, learning rate of generator and critic
    batch_size : int > 0, recordings per step; the same number is generated
    epochs : int > 0
    seed : seed of weights, order and noise
    on_epoch : called after every epoch with the generator's loss

    Returns
    -------
    spectrograms in decibels [shape=(n_made, n_mels, n_frames)], and their quadrants

    Raises
    ------
    DivergenceError
        If a loss is not finite.
    """
    present = np.unique(train.labels)
    bottlenecks = []
    for quadrant in present:
        trained = _train_generator(
            train.take(np.flatnonzero(train.labels == quadrant)),
            autoencoder,
            stage=f"gan_{QUADRANTS[quadrant]}",
            learning_rate=learning_rate,
            batch_size=batch_size,
            epochs=epochs,
            seed=seed,
            on_epoch=on_epoch,
        )
        noise = np.random.default_rng([seed, int(quadrant)]).normal(size=(n_each, N_NOISE))
        bottlenecks.append(
            keras.ops.convert_to_numpy(trained(noise.astype(np.float32), training=False))
        )
    return autoencoder.decode(np.concatenate(bottlenecks)), np.repeat(present, n_each)


def _train_generator(
    train: Examples,
    autoencoder: FittedAutoencoder,
    *,
    stage: str,
    learning_rate: float,
    batch_size: int,
    epochs: int,
    seed: int,
    on_epoch: OnEpoch,
) -> keras.Model:
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    shape = train.item_shape(0)
    discriminator = critic(input_shape=shape, dropout=DROPOUT)
    trained = generator(output_shape=shape, n_noise=N_NOISE)
    pipeline = keras.Sequential([trained, autoencoder.decoder])
    autoencoder.decoder.trainable = False
    _compile(discriminator, learning_rate)
    discriminator.trainable = False
    adversarial = keras.Sequential([pipeline, discriminator])
    _compile(adversarial, learning_rate)

    def noise(n: int) -> NDArray[np.float32]:
        return rng.normal(size=(n, N_NOISE)).astype(np.float32)

    for epoch in range(1, epochs + 1):
        loss = 0.0
        for batch in batches(rng.permutation(len(train)), batch_size):
            recorded = autoencoder.encoder.normalised(train, batch)
            generated = keras.ops.convert_to_numpy(pipeline(noise(len(batch)), training=False))
            inputs = np.concatenate([recorded, generated])
            targets = np.repeat([RECORDED, GENERATED], len(batch)).astype(np.float32)[:, np.newaxis]
            discriminator.trainable = True
            discriminator.train_on_batch(inputs, targets)
            discriminator.trainable = False
            ones = np.ones((len(batch), 1), dtype=np.float32)
            loss += float(adversarial.train_on_batch(noise(len(batch)), ones)) * len(batch)
        loss /= len(train)
        refuse_divergence(loss, epoch=epoch, learning_rate=learning_rate)
        on_epoch(EpochRecord(epoch=epoch, loss=loss, accuracy=None, stage=stage), None)
    return trained


def _compile(network: keras.Model, learning_rate: float) -> None:
    compile_network(
        network,
        optimizer=keras.optimizers.Adam(learning_rate, beta_1=FIRST_MOMENTUM),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
