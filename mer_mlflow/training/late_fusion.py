"""Late fusion: two networks trained separately, and a third one on their front ends' outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.networks.keras_backend import keras
from mer_mlflow.representations import Examples
from mer_mlflow.training.keras_loop import FittedNetwork, load_network, train_network
from mer_mlflow.training.method import EpochRecord, OnEpoch, Predict, Prediction

STAGES = ("audio", "features", "fusion")

Build = Callable[[tuple[int, ...]], keras.Model]


@dataclass(frozen=True, kw_only=True)
class FittedHybrid:
    """Two frozen networks, and the fusion network.

    Attributes
    ----------
    audio, features : networks of the first and of the second input
    fusion : network on the outputs of their front ends
    """

    audio: FittedNetwork
    features: FittedNetwork
    fusion: FittedNetwork

    @property
    def n_parameters(self) -> int:
        """Number of weights of the three networks."""
        return sum(getattr(self, stage).n_parameters for stage in STAGES)

    def predict(self, examples: Examples) -> Prediction:
        """Predict quadrants and probabilities, with those of each of the three networks."""
        joined = self.fusion.predict(joined_front_ends(self.audio, self.features, examples))
        stages = {
            "audio": self.audio.predict(examples.only(0)).probabilities,
            "features": self.features.predict(examples.only(1)).probabilities,
        }
        return replace(joined, stages=stages)

    def save(self, folder: Path) -> None:
        """Write the networks into subfolders of an existing folder."""
        for stage in STAGES:
            (folder / stage).mkdir()
            getattr(self, stage).save(folder / stage)


def load_hybrid(folder: Path) -> FittedHybrid:
    """Read a model written by :meth:`FittedHybrid.save`."""
    audio, features, fusion = (load_network(folder / stage) for stage in STAGES)
    return FittedHybrid(audio=audio, features=features, fusion=fusion)


def train_hybrid(
    train: Examples,
    *,
    build_audio: Build,
    build_features: Build,
    build_fusion: Callable[[tuple[int, ...]], keras.Model],
    training: dict[str, Any],
    seed: int,
    on_epoch: OnEpoch,
) -> FittedHybrid:
    """Train two networks, freeze them, and train a third one on their front ends' outputs.

    Parameters
    ----------
    train : training examples with two inputs: a representation of audio, and handcrafted features.
        Synthesised examples train the first and the third network, but not the second, because
        they have their source's features
    build_audio, build_features : functions that return the networks for an input shape
    build_fusion : function that returns the fusion network for the sizes of both front ends
    training : arguments of all three trainings
    seed : seed of weights, dropout and order
    on_epoch : called after every epoch of each network

    Raises
    ------
    DivergenceError
        If a loss is not finite.
    """
    stage = partial(_train_stage, training=training, seed=seed, on_epoch=on_epoch)
    audio = stage("audio", train.only(0), build_audio, by_feature=False, of=_first)
    features = stage(
        "features", train.recordings().only(1), build_features, by_feature=True, of=_second
    )

    sizes = tuple(part.front_end_size for part in (audio, features))
    fusion = stage(
        "fusion",
        joined_front_ends(audio, features, train),
        lambda shape: build_fusion(sizes),
        by_feature=True,
        of=_remembered(partial(joined_front_ends, audio, features)),
    )
    return FittedHybrid(audio=audio, features=features, fusion=fusion)


def joined_front_ends(
    audio: FittedNetwork, features: FittedNetwork, examples: Examples
) -> Examples:
    """Return the same examples with the concatenated front-end outputs as their only input."""
    parts = (audio.front_end(examples.only(0)), features.front_end(examples.only(1)))
    values: NDArray[np.float32] = np.concatenate(parts, axis=1)
    return Examples(
        inputs=(values,), positions=np.arange(len(examples)), quadrants=examples.quadrants
    )


def _train_stage(
    name: str,
    train: Examples,
    build: Build,
    *,
    by_feature: bool,
    of: Callable[[Examples], Examples],
    training: dict[str, Any],
    seed: int,
    on_epoch: OnEpoch,
) -> FittedNetwork:
    def on_stage_epoch(record: EpochRecord, predict: Predict | None) -> None:
        on_epoch(replace(record, stage=name), predict and (lambda examples: predict(of(examples))))

    return train_network(
        train,
        build=build,
        **training,
        by_feature=by_feature,
        seed=seed,
        on_epoch=on_stage_epoch,
    )


def _first(examples: Examples) -> Examples:
    return examples.only(0)


def _second(examples: Examples) -> Examples:
    return examples.only(1)


def _remembered(of: Callable[[Examples], Examples]) -> Callable[[Examples], Examples]:
    """Cache the last result, because the same clips are predicted after every epoch."""
    last: list[Examples] = []

    def remembered(examples: Examples) -> Examples:
        if not last or last[0] is not examples:
            last[:] = [examples, of(examples)]
        return last[1]

    return remembered
