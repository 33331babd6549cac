"""Embedding: outputs of a pretrained network for a clip, cached like any representation."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.errors import WeightsError
from mer_mlflow.networks import backend_name
from mer_mlflow.representations.audio import Audio
from mer_mlflow.representations.pretrained import MODULES, Pretrained
from mer_mlflow.representations.representation import parameter_key
from mer_mlflow.weights import Weights

ONE_AT_A_TIME = threading.Lock()
"""Lock for one network at a time, because a network uses all cores and much memory."""


@dataclass(frozen=True, kw_only=True)
class Embedding:
    """Outputs of a layer of a pretrained network.

    Attributes
    ----------
    network : name of its weights
    layer : name of a layer, see the network's module
    duration : float > 0 [s]
    weights : file of the weights; not needed before the computation
    """

    network: str
    layer: str
    duration: float = 30.0
    weights: Weights | None = None
    table: ClassVar[None] = None
    is_handcrafted: ClassVar[bool] = False
    is_spectrogram: ClassVar[bool] = False

    @property
    def key(self) -> str:
        """Text that contains name, version, parameters and digest of the weights."""
        known = replace(self, weights=None)
        digest = self.weights.digest[:12] if self.weights else "no-weights"
        backend = backend_name() if self._module.ON_KERAS else ""
        name = f"{self.network}-{self.layer}-{digest}-{backend}".replace("_", "-").rstrip("-")
        return parameter_key(name, self._module.VERSION, known)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's array."""
        return self._module.shape(self.layer, self.duration)

    @property
    def dtype(self) -> str:
        """Data type of one clip's array."""
        return "float32"

    @property
    def cost(self) -> float:
        """Time to compute the array of a clip of 30 s on one core [s]."""
        return self._module.COST

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]."""
        return max(self.duration, self._module.SHORTEST)

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute the embedding of one clip [shape=self.shape].

        Raises
        ------
        WeightsError
            If there are no weights, or they are not this network's.
        """
        if self.weights is None:
            raise WeightsError(f"{self.network}: no weights")
        with ONE_AT_A_TIME:
            network = _loaded(self.network, self.weights)
            return self._module.embed(network, audio, layer=self.layer, duration=self.duration)

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""
        return replace(self, duration=duration)

    @property
    def _module(self) -> Pretrained:
        return MODULES[self.network]


@cache
def _loaded(network: str, weights: Weights) -> Any:
    return MODULES[network].load(weights)
