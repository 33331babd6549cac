"""Groups: features that are measured together, with names that are known before any audio is.

A dimension is a tuple of groups. Every group has `names` and, for a sound, as many values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.representations.handcrafted.sound import HOP, SR, Sound
from mer_mlflow.representations.handcrafted.statistics import summarise


@dataclass(frozen=True, kw_only=True)
class Tracks:
    """Descriptors that have a value in each frame, each summarised by the same statistics.

    Attributes
    ----------
    descriptors : names, such as ``timbre.centroid``
    statistics : names of statistics
    measure : the descriptors of a sound [shape=(n_descriptors, n_frames)]
    hop_length : samples between frames
    """

    descriptors: tuple[str, ...]
    statistics: tuple[str, ...]
    measure: Callable[[Sound], NDArray[np.floating]]
    hop_length: int = HOP

    @property
    def names(self) -> tuple[str, ...]:
        """dimension.descriptor.statistic, descriptor by descriptor."""
        return _products(self.descriptors, self.statistics)

    def compute(self, sound: Sound) -> NDArray[np.float64]:
        """Values of a sound [shape=(n_names,)]."""
        rows = self.measure(sound)
        return summarise(rows, self.statistics, rate=SR / self.hop_length).ravel()


@dataclass(frozen=True, kw_only=True)
class Events:
    """Descriptors of events such as notes, any number of them, 0 where a sound has none.

    Attributes
    ----------
    descriptors : names, such as ``melody.interval``
    statistics : names of statistics that do not look at time
    measure : a value for each event, one array [shape=(n_events,)] a descriptor
    """

    descriptors: tuple[str, ...]
    statistics: tuple[str, ...]
    measure: Callable[[Sound], Sequence[NDArray[np.floating]]]

    @property
    def names(self) -> tuple[str, ...]:
        """dimension.descriptor.statistic, descriptor by descriptor."""
        return _products(self.descriptors, self.statistics)

    def compute(self, sound: Sound) -> NDArray[np.float64]:
        """Values of a sound [shape=(n_names,)]."""
        rows = (events if len(events) else np.zeros(1) for events in self.measure(sound))
        return np.concatenate(
            [summarise(row[np.newaxis], self.statistics, rate=1.0).ravel() for row in rows]
        )


@dataclass(frozen=True, kw_only=True)
class Values:
    """Numbers that describe a sound as a whole.

    Attributes
    ----------
    names : dimension.descriptor.statistic
    measure : the values [shape=(n_names,)]
    """

    names: tuple[str, ...]
    measure: Callable[[Sound], NDArray[np.floating]]

    def compute(self, sound: Sound) -> NDArray[np.float64]:
        """Values of a sound [shape=(n_names,)]."""
        return np.asarray(self.measure(sound), dtype=np.float64)


Group = Tracks | Events | Values


def _products(descriptors: Sequence[str], statistics: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}.{statistic}" for name in descriptors for statistic in statistics)
