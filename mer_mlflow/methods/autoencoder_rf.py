"""Autoencoder + random forest on the bottleneck of a convolutional autoencoder.

The autoencoder is trained on the training clips without labels. Its bottleneck, 60 416 values for
30 s, is the input of scikit-learn's random forest with default parameters. The study does not
publish the layers and their training: here four convolutions of 16, 32, 64 and 128 filters halve
both axes each, the decoder mirrors them, and Adam minimises the squared error of standardised
spectrograms.

References
----------
J. Masci et al., "Stacked convolutional auto-encoders for hierarchical feature extraction", ICANN
2011.
L. Breiman, "Random forests", Machine Learning 45, 2001.
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mer_mlflow.representations import Examples, Mel
from mer_mlflow.training.hyperparameters import Role, searchable
from mer_mlflow.training.method import FittedModel, Method, OnEpoch, Scores


@dataclass(frozen=True, kw_only=True)
class AutoencoderRFHyperparameters:
    """Training of the autoencoder, and scikit-learn's default number of trees."""

    learning_rate: float = searchable(
        0.002, Role.TRAINING, low=0.0, exclusive_low=True, grid=(0.001, 0.002, 0.004)
    )
    batch_size: int = searchable(16, Role.TRAINING | Role.BATCH, low=1, grid=(8, 16, 32))
    epochs: int = searchable(50, Role.TRAINING | Role.EPOCHS, low=1, grid=(25, 50, 100))
    n_estimators: int = searchable(100, Role.ESTIMATOR, low=1, grid=(50, 100, 200, 400))


def fit(
    train: Examples, hyperparameters: AutoencoderRFHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Train the autoencoder, then the forest on its bottleneck.

    Parameters
    ----------
    train : examples with mel spectrograms; the autoencoder is trained on recordings only, the
        forest on augmented copies too
    hyperparameters : hyperparameters of autoencoder and forest
    seed : seed of weights, order and trees
    on_epoch : called after every epoch of the autoencoder
    """
    from mer_mlflow.training.autoencoder_forest import train_embedding

    return train_embedding(
        train,
        learning_rate=hyperparameters.learning_rate,
        batch_size=hyperparameters.batch_size,
        epochs=hyperparameters.epochs,
        n_estimators=hyperparameters.n_estimators,
        seed=seed,
        on_epoch=on_epoch,
    )


def load(folder: Path) -> FittedModel:
    """Read a saved autoencoder and forest."""
    from mer_mlflow.training.autoencoder_forest import load_embedding

    return load_embedding(folder)


METHOD = Method(
    name="autoencoder_rf",
    title="Autoencoder + forest",
    summary="Random forest on the bottleneck of a convolutional autoencoder of mel spectrograms.",
    version=1,
    inputs=(Mel(),),
    hyperparameters=AutoencoderRFHyperparameters,
    fit=fit,
    load=load,
    shortest=0.5,
    framework="keras",
    quick_epochs=6,
    cost=0.01,
    step_cost=0.06,
    citation="Masci et al., ICANN 2011; Breiman, Machine Learning 2001; Louro et al., Sensors 2024",
    table=5,
    published={
        "original-4qaed": Scores(precision=50.63, recall=50.40, f1=50.18),
        "new-4qaed-c": Scores(precision=53.78, recall=55.45, f1=53.56),
        "new-4qaed-b": Scores(precision=53.56, recall=54.76, f1=53.69),
    },
)
