"""What a representation is: a named, versioned, pure function of one clip's audio."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.audio import Audio


class Representation(Protocol):
    """A pure function of one clip's audio whose results the store keeps."""

    @property
    def key(self) -> str:
        """Name, version and parameters in one word: equal keys mean equal results."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one clip's array."""

    @property
    def dtype(self) -> str:
        """Data type of one clip's array."""

    @property
    def heard(self) -> float:
        """Beginning of a clip that its array depends on [s]."""

    def compute(self, audio: Audio) -> NDArray[np.floating]:
        """Represent one clip [shape=self.shape]."""

    def with_duration(self, duration: float) -> Self:
        """Return the same representation of another excerpt length [s]."""


@dataclass(frozen=True, kw_only=True)
class Features:
    """A table of handcrafted features as input: nothing is computed from audio.

    Attributes
    ----------
    table : name of the feature table (``"top100"``, ``"all"``)
    """

    table: str

    @property
    def key(self) -> str:
        """Name of the table."""
        return f"features-{self.table}"


def parameter_key(name: str, version: int, representation: Any) -> str:
    """Key of a dataclass representation.

    Parameters
    ----------
    name : word that the key starts with
    version : raised whenever the results change
    representation : dataclass instance whose fields are the parameters
    """
    parameters = json.dumps([version, asdict(representation)], sort_keys=True)
    return f"{name}-{hashlib.sha256(parameters.encode()).hexdigest()[:12]}"
