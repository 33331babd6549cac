"""CNN + GAN: the baseline CNN, trained also on spectrograms made by generators.

A small convolutional generator for each quadrant turns noise into bottlenecks of an autoencoder.
Its decoder, trained on all training clips and then frozen, turns them into spectrograms. A critic
distinguishes these from recordings of the quadrant. The study mentions this methodology as earlier
work, without scores or details.

References
----------
I. Goodfellow et al., "Generative adversarial nets", NIPS 2014.
A. Radford, L. Metz, S. Chintala, "Unsupervised representation learning with deep convolutional
generative adversarial networks", ICLR 2016.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import dataclass

from mer_mlflow.representations import Examples, Mel
from mer_mlflow.training.hyperparameters import (
    AutoencoderTraining,
    CNNSizes,
    Role,
    SGDTraining,
    searchable,
)
from mer_mlflow.training.keras_network import load_network
from mer_mlflow.training.method import FittedModel, Method, OnEpoch


@dataclass(frozen=True, kw_only=True)
class CNNGANHyperparameters(AutoencoderTraining, CNNSizes, SGDTraining):
    """Hyperparameters of the baseline, and of the training of autoencoder and generators.

    n_synthesised : number of synthesised spectrograms per quadrant.
    """

    n_synthesised: int = searchable(25, Role.SYNTHESIS, low=1, grid=(10, 25, 50, 100))
    gan_learning_rate: float = searchable(
        0.0002, Role.SYNTHESIS, low=0.0, exclusive_low=True, grid=(0.0001, 0.0002, 0.0005)
    )
    gan_batch_size: int = searchable(16, Role.SYNTHESIS, low=1, grid=(8, 16, 32))
    gan_epochs: int = searchable(30, Role.SYNTHESIS | Role.EPOCHS, low=1, grid=(15, 30, 60))


def fit(
    train: Examples, hyperparameters: CNNGANHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Train the autoencoder, a generator for each quadrant, and the CNN on all.

    Parameters
    ----------
    train : examples with mel spectrograms; augmented copies of recordings train the CNN only
    hyperparameters : hyperparameters of all networks
    seed : seed of weights, dropout, order and noise
    on_epoch : called after every epoch of each network
    """
    from mer_mlflow.training.gan import generate
    from mer_mlflow.training.synthesised import autoencoder_beside, train_with_synthesised

    recordings = train.recordings()
    autoencoder = autoencoder_beside(recordings, hyperparameters, seed=seed, on_epoch=on_epoch)
    spectrograms, quadrants = generate(
        recordings,
        autoencoder,
        n_each=hyperparameters.n_synthesised,
        learning_rate=hyperparameters.gan_learning_rate,
        batch_size=hyperparameters.gan_batch_size,
        epochs=hyperparameters.gan_epochs,
        seed=seed,
        on_epoch=on_epoch,
    )
    return train_with_synthesised(
        train,
        spectrograms=spectrograms,
        quadrants=quadrants,
        autoencoder=autoencoder,
        numbers={},
        hyperparameters=hyperparameters,
        seed=seed,
        on_epoch=on_epoch,
    )


METHOD = Method(
    name="cnn_gan",
    title="CNN + GAN",
    summary="The baseline CNN, trained also on spectrograms made by adversarial generators.",
    version=2,
    inputs=(Mel(),),
    hyperparameters=CNNGANHyperparameters,
    fit=fit,
    load=load_network,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.025,
    citation="Goodfellow et al., NIPS 2014; Radford et al., ICLR 2016; Louro et al., Sensors 2024",
    table=None,
    baseline="cnn",
    published={},
)
