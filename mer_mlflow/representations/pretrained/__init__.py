"""Pretrained networks: a module holds all there is to know of one published network.

A module declares

- ``NETWORKS`` : a :class:`mer_mlflow.weights.PublishedWeights` for each file of weights,
- ``VERSION`` : raised whenever its results change,
- ``ON_KERAS`` : whether its results depend on Keras' backend in the last digits,
- ``SHORTEST`` : shortest beginning of a clip that its results depend on [s],
- ``SUMMARY`` : the layer that describes a whole clip, and ``BLOCKS`` : sizes of that layer's blocks
  by name, empty where its values are one block,

and the functions ``shape`` of a layer's values, ``load`` of a file of weights, and ``embed`` of a
clip by a loaded network. They import frameworks inside, so that shapes cost nothing.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio
from mer_mlflow.weights import PublishedWeights, Weights, find_published


class Pretrained(Protocol):
    """A module of this package."""

    NETWORKS: tuple[PublishedWeights, ...]
    VERSION: int
    ON_KERAS: bool
    SHORTEST: float
    SUMMARY: str
    BLOCKS: Mapping[str, int]

    def shape(self, layer: str, duration: float) -> tuple[int, ...]:
        """Shape of a layer's values for an excerpt [s]."""

    def load(self, weights: Weights) -> Any:
        """Load the network; ``WeightsError`` where the file is not what its name says."""

    def embed(
        self, network: Any, audio: Audio, *, layer: str, duration: float
    ) -> NDArray[np.float32]:
        """Values of a layer for one clip [shape=shape(layer, duration)]."""


MODULES: dict[str, Pretrained] = {
    published.name: module
    for module in (
        cast(Pretrained, import_module(f"{__name__}.{info.name}"))
        for info in pkgutil.iter_modules(__path__)
    )
    for published in module.NETWORKS
}
"""Module of each network, by the network's name."""

PUBLISHED: dict[str, PublishedWeights] = {
    published.name: published for module in MODULES.values() for published in module.NETWORKS
}
"""Published files of weights, by the network's name."""


def find_weights(
    name: str, given: Path | str | None = None, *, allow_unverified: bool = False
) -> Weights:
    """Find a network's file of weights and check its digest.

    Parameters
    ----------
    name : of the network
    given : the file, or a folder that holds it at any depth; by default ``MER_WEIGHTS_ROOT``, then
        the folder of the package that holds it
    allow_unverified : whether a file whose digest is not known is taken; also where
        ``MER_ALLOW_UNVERIFIED_WEIGHTS`` is ``true``

    Raises
    ------
    ParameterError
        If what is given is not there.
    WeightsError
        If there is no such file, or its digest is not known.
    """
    return find_published(
        PUBLISHED[name],
        given,
        published=PUBLISHED.values(),
        allow_unverified=allow_unverified,
    )
