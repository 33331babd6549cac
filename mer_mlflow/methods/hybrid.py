"""Hybrid: late fusion of a network on spectrograms and one on handcrafted features.

The baseline CNN and a dense network with decreasing widths are trained separately on the training
clips, and frozen. A small dense network classifies the concatenated outputs of their front ends.
The study mentions it without scores; its augmented form is ``hybrid_augmented``. Sizes are those of
``cnn`` and ``dnn_1714``. The study does not publish the fusion network: here it has one hidden
layer, and both front ends have equal weight, whatever their number of outputs.

References
----------
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.representations import Examples, Features, Mel
from mer_mlflow.training.hyperparameters import (
    CNNSizes,
    Role,
    SGDTraining,
    part,
    searchable,
    values_of,
)
from mer_mlflow.training.method import FittedModel, Method, OnEpoch


@dataclass(frozen=True, kw_only=True)
class HybridHyperparameters(CNNSizes, SGDTraining):
    """The study's deep-learning defaults for all three trainings, and the network sizes."""

    first_units: int = searchable(800, Role.ARCHITECTURE, low=1, grid=(400, 800, 1600))
    n_layers: int = searchable(4, Role.ARCHITECTURE, low=1, high=20, grid=(3, 4, 5))
    features_dropout: float = searchable(
        0.4, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.2, 0.4, 0.5)
    )
    fusion_units: int = searchable(30, Role.ARCHITECTURE, low=1, grid=(15, 30, 60))
    fusion_dropout: float = searchable(
        0.4, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.2, 0.4, 0.6)
    )


def fit(
    train: Examples, hyperparameters: HybridHyperparameters, seed: int, on_epoch: OnEpoch
) -> FittedModel:
    """Train both networks and the fusion network.

    Parameters
    ----------
    train : examples with mel spectrograms and handcrafted features
    hyperparameters : hyperparameters of the training and the three networks
    seed : seed of weights, dropout and order
    on_epoch : called after every epoch of each network
    """
    from mer_mlflow.networks.cnn import cnn
    from mer_mlflow.networks.dnn import narrowing_dnn
    from mer_mlflow.networks.fusion import fusion
    from mer_mlflow.training.late_fusion import train_hybrid

    chosen, n_classes = hyperparameters, len(QUADRANTS)
    return train_hybrid(
        train,
        build_audio=lambda shape: cnn(
            input_shape=shape,
            n_classes=n_classes,
            **part(chosen, CNNSizes),
        ),
        build_features=lambda shape: narrowing_dnn(
            input_shape=shape,
            n_classes=n_classes,
            first_units=chosen.first_units,
            n_layers=chosen.n_layers,
            dropout=chosen.features_dropout,
        ),
        build_fusion=lambda sizes: fusion(
            block_sizes=sizes,
            n_classes=n_classes,
            units=chosen.fusion_units,
            dropout=chosen.fusion_dropout,
        ),
        training=values_of(chosen, Role.TRAINING),
        seed=seed,
        on_epoch=on_epoch,
    )


def load(folder: Path) -> FittedModel:
    """Read a saved model."""
    from mer_mlflow.training.late_fusion import load_hybrid

    return load_hybrid(folder)


METHOD = Method(
    name="hybrid",
    title="Hybrid",
    summary="Late fusion of the baseline CNN's front end and a DNN on handcrafted features.",
    version=2,
    inputs=(Mel(), Features(table="all")),
    hyperparameters=HybridHyperparameters,
    fit=fit,
    load=load,
    shortest=1.3,
    framework="keras",
    quick_epochs=6,
    cost=0.02,
    citation="Louro et al., Sensors 2024",
    table=None,
    published={},
)
