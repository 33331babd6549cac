"""Pretrained networks: one module for each published network.

A module declares

- ``NETWORKS`` : a :class:`mer_mlflow.weights.PublishedWeights` for each file of weights,
- ``VERSION`` : version of its results; raise it if they change,
- ``ON_KERAS`` : whether the last digits of its results depend on Keras' backend,
- ``COST`` : time for a clip of 30 s on one core [s], for estimates only,
- ``SHORTEST`` : minimum duration of a clip's beginning that its results depend on [s],
- ``SUMMARY`` : the layer that describes a whole clip, and ``BLOCKS`` : sizes of that layer's blocks
  by name, empty if its outputs are one block,

and the functions ``shape`` (shape of a layer's outputs), ``load`` (read a file of weights) and
``embed`` (outputs of a loaded network for a clip). Frameworks are imported inside functions,
because their import is slow.
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
    COST: float
    SHORTEST: float
    SUMMARY: str
    BLOCKS: Mapping[str, int]

    def shape(self, layer: str, duration: float) -> tuple[int, ...]:
        """Return the shape of a layer's outputs for an excerpt [s]."""

    def load(self, weights: Weights) -> Any:
        """Load the network; raise ``WeightsError`` if the file is not one of this network."""

    def embed(
        self, network: Any, audio: Audio, *, layer: str, duration: float
    ) -> NDArray[np.float32]:
        """Compute a layer's outputs for one clip [shape=shape(layer, duration)]."""


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
    """Find a network's file of weights and verify its digest.

    Parameters
    ----------
    name : name of the network
    given : path of the file, or of a folder that contains it at any depth; by default
        ``MER_WEIGHTS_ROOT``, then the folder of the package that contains it
    allow_unverified : whether a file with an unknown digest is accepted; also if
        ``MER_ALLOW_UNVERIFIED_WEIGHTS`` is ``true``

    Raises
    ------
    ParameterError
        If the given path does not exist.
    WeightsError
        If there is no such file, or its digest is unknown.
    """
    return find_published(
        PUBLISHED[name],
        given,
        published=PUBLISHED.values(),
        allow_unverified=allow_unverified,
    )
