"""Inputs of methodologies: feature tables, and representations computed from a clip's audio."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Protocol, Self, cast

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio
from mer_mlflow.weights import Weights


class Input(Protocol):
    """Input of a methodology."""

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters: equal keys mean equal values."""

    @property
    def table(self) -> str | None:
        """Name of the dataset's feature table, None for a representation."""

    @property
    def is_handcrafted(self) -> bool:
        """Whether the values are handcrafted features: synthesised copies have their source's."""

    @property
    def is_spectrogram(self) -> bool:
        """Whether the values are spectrograms, to which masks can be applied."""

    @property
    def network(self) -> str | None:
        """Name of the pretrained network that computes the values, None if there is none."""

    @property
    def weights(self) -> Weights | None:
        """File of the pretrained network, None if there is none or it is not found yet."""

    def with_duration(self, duration: float) -> Self:
        """Return the same input with another excerpt length [s]."""


class Representation(Protocol):
    """A pure function of one clip's audio, whose results are cached in the store."""

    @property
    def key(self) -> str:
        """Text that contains name, version and parameters: equal keys mean equal results."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's array."""

    @property
    def dtype(self) -> str:
        """Data type of one clip's array."""

    @property
    def duration(self) -> float:
        """Excerpt of each clip [s]."""

    @property
    def cost(self) -> float:
        """Time to compute the array of a clip of 30 s on one core [s]; for estimates only."""

    @property
    def required_seconds(self) -> float:
        """Duration of a clip's beginning that its array depends on [s]."""

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Compute the representation of one clip [shape=self.shape]."""

    def with_duration(self, duration: float) -> Self:
        """Return the same representation with another excerpt length [s]."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """A table of handcrafted features as input; nothing is computed from audio.

    Attributes
    ----------
    table : name of the feature table (``"top100"``, ``"all"``)
    """

    table: str
    is_handcrafted: ClassVar[bool] = True
    is_spectrogram: ClassVar[bool] = False
    network: ClassVar[None] = None
    weights: ClassVar[None] = None

    @property
    def key(self) -> str:
        """Name of the table."""
        return f"features-{self.table}"

    def with_duration(self, duration: float) -> Self:
        """Return the same table, which does not depend on the excerpt."""
        return self


def representation_of(item: Input) -> Representation | None:
    """Return the input if it is a representation, None if it is a feature table."""
    return cast(Representation, item) if item.table is None else None


def parameter_key(name: str, version: int, representation: Any) -> str:
    """Return the key of a dataclass representation.

    Parameters
    ----------
    name : beginning of the key
    version : version of the results; raise it if they change
    representation : dataclass instance whose fields are the parameters
    """
    parameters = json.dumps([version, asdict(representation)], sort_keys=True)
    return f"{name}-{hashlib.sha256(parameters.encode()).hexdigest()[:12]}"
