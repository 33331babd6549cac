"""Groups: features that are computed together, with names that do not depend on audio.

A dimension is a tuple of groups. A group has `names`, and computes as many values for a sound.
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
    """Descriptors with a value in each frame, summarised by statistics.

    Attributes
    ----------
    descriptors : names, such as ``timbre.centroid``
    statistics : names of statistics
    measure : function that computes the descriptors of a sound [shape=(n_descriptors, n_frames)]
    hop_length : samples between frames
    """

    descriptors: tuple[str, ...]
    statistics: tuple[str, ...]
    measure: Callable[[Sound], NDArray[np.floating]]
    hop_length: int = HOP

    @property
    def names(self) -> tuple[str, ...]:
        """dimension.descriptor.statistic, sorted by descriptor."""
        return _products(self.descriptors, self.statistics)

    def compute(self, sound: Sound) -> NDArray[np.float64]:
        """Compute the values of a sound [shape=(n_names,)]."""
        rows = self.measure(sound)
        return summarise(rows, self.statistics, rate=SR / self.hop_length).ravel()


@dataclass(frozen=True, kw_only=True)
class Events:
    """Descriptors of events such as notes, summarised by statistics; 0 if there are no events.

    Attributes
    ----------
    descriptors : names, such as ``melody.interval``
    statistics : names of statistics that do not depend on time
    measure : function that computes one array [shape=(n_events,)] per descriptor
    """

    descriptors: tuple[str, ...]
    statistics: tuple[str, ...]
    measure: Callable[[Sound], Sequence[NDArray[np.floating]]]

    @property
    def names(self) -> tuple[str, ...]:
        """dimension.descriptor.statistic, sorted by descriptor."""
        return _products(self.descriptors, self.statistics)

    def compute(self, sound: Sound) -> NDArray[np.float64]:
        """Compute the values of a sound [shape=(n_names,)]."""
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
    measure : function that computes the values [shape=(n_names,)]
    """

    names: tuple[str, ...]
    measure: Callable[[Sound], NDArray[np.floating]]

    def compute(self, sound: Sound) -> NDArray[np.float64]:
        """Compute the values of a sound [shape=(n_names,)]."""
        return np.asarray(self.measure(sound), dtype=np.float64)


Group = Tracks | Events | Values


def _products(descriptors: Sequence[str], statistics: Sequence[str]) -> tuple[str, ...]:
    return tuple(f"{name}.{statistic}" for name in descriptors for statistic in statistics)
