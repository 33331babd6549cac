"""Examples: the inputs of a method for clips and, in training, their labels."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import ParameterError
from mer_mlflow.paths import given_path
from mer_mlflow.representations.audio import LONGEST
from mer_mlflow.representations.handcrafted import Handcrafted
from mer_mlflow.representations.pretrained import find_weights
from mer_mlflow.representations.representation import Input, representation_of
from mer_mlflow.representations.store import Store, StoredArray
from mer_mlflow.weights import Weights

FEATURE_SOURCES = ("published", "extracted")
"""Sources of handcrafted features: the dataset's tables, or audio."""

SMALL = 1 << 14
"""Maximum number of values per clip for arrays that are kept in memory."""

SHORTEST = 0.5
"""Minimum length of an excerpt [s]."""


class ClipArray(Protocol):
    """One array per clip: in memory, or read from the store when indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_clips, ...)."""

    def __getitem__(self, key: Any, /) -> NDArray[Any]:
        """Return the arrays at these positions; parts of them for a pair of positions."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """View of the parts of each clip's array as separate rows, clip by clip.

    Attributes
    ----------
    of : one array of parts per clip [shape=(n_clips, n_parts, ...)]
    """

    of: ClipArray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_clips * n_parts, ...)."""
        n_clips, n_parts, *part = self.of.shape
        return (n_clips * n_parts, *part)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        return self.of[np.divmod(rows, self.of.shape[1])]


@dataclass(frozen=True, kw_only=True)
class Joined:
    """Concatenation of the rows of two arrays, without a copy.

    Attributes
    ----------
    first, second : arrays of the same items [shape=(n_first, ...)], [shape=(n_second, ...)]
    """

    first: ClipArray
    second: ClipArray

    @property
    def shape(self) -> tuple[int, ...]:
        """(n_first + n_second, ...)."""
        n_first, *item = self.first.shape
        return (n_first + self.second.shape[0], *item)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        values = np.empty((len(rows), *self.shape[1:]), dtype=np.float32)
        n_first = self.first.shape[0]
        for array, start, chosen in (
            (self.first, 0, rows < n_first),
            (self.second, n_first, rows >= n_first),
        ):
            if chosen.any():
                values[chosen] = array[rows[chosen] - start]
        return values


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Inputs of clips and their labels.

    Attributes
    ----------
    inputs : one array for each input that the method declares [shape=(n_stored, ...)]
    positions : rows of the inputs that belong to these examples [shape=(n_clips,)]
    quadrants : labels, 0 to 3 [shape=(n_clips,)]; None if they are to be predicted
    sources : row of the recording from which each example was synthesised, or of the recording
        itself [shape=(n_clips,)]; None if all are recordings
    weights : files of the pretrained networks that computed the inputs, by name; for methods that
        fine-tune such a network
    """

    inputs: tuple[ClipArray, ...]
    positions: NDArray[np.int64]
    quadrants: NDArray[np.int64] | None
    sources: NDArray[np.int64] | None = None
    weights: Mapping[str, Weights] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def labels(self) -> NDArray[np.int64]:
        """Labels [shape=(n_clips,)].

        Raises
        ------
        ValueError
            If these examples have no labels.
        """
        if self.quadrants is None:
            raise ValueError("these examples have no labels: they are to be predicted")
        return self.quadrants

    def read(self, which: int, indices: NDArray[np.int64] | None = None) -> NDArray[Any]:
        """Read an input into memory.

        Parameters
        ----------
        which : index of the input among the method's inputs
            indices : positions among these examples [shape=(n_read,)], by default all

        Returns
        -------
        arrays [shape=(n_read, ...)]
        """
        positions = self.positions if indices is None else self.positions[indices]
        return self.inputs[which][positions]

    def item_shape(self, which: int) -> tuple[int, ...]:
        """Return the shape of an input's array for one clip."""
        return self.inputs[which].shape[1:]

    def take(self, indices: NDArray[np.int64]) -> Examples:
        """Select examples by position [shape=(n_kept,)]."""
        return replace(
            self,
            positions=self.positions[indices],
            quadrants=None if self.quadrants is None else self.quadrants[indices],
            sources=None if self.sources is None else self.sources[indices],
        )

    def recordings(self) -> Examples:
        """Return the examples that are not synthesised."""
        if self.sources is None:
            return self
        return self.take(np.flatnonzero(self.sources == self.positions))

    def followed_by(self, values: NDArray[Any], quadrants: NDArray[np.int64]) -> Examples:
        """Append synthesised examples that have no source recording, for a single input.

        Parameters
        ----------
        values : arrays like those of the input [shape=(n_added, ...)]
        quadrants : labels [shape=(n_added,)]
        """
        (own,) = self.inputs
        added = own.shape[0] + np.arange(len(values))
        return Examples(
            inputs=(Joined(first=own, second=values),),
            positions=np.concatenate([self.positions, added]),
            quadrants=np.concatenate([self.labels, quadrants]),
        )

    def only(self, which: int) -> Examples:
        """Return the same examples with only one of their inputs."""
        return replace(self, inputs=(self.inputs[which],))

    def by_part(self) -> Examples:
        """Return each part of each clip's first input as a separate example, clip by clip."""
        n_parts = self.item_shape(0)[0]
        rows = self.positions[:, np.newaxis] * n_parts + np.arange(n_parts)
        return Examples(
            inputs=(Parts(of=self.inputs[0]),),
            positions=rows.ravel(),
            quadrants=None if self.quadrants is None else np.repeat(self.quadrants, n_parts),
        )

    def without_labels(self) -> Examples:
        """Return the same examples without labels."""
        return replace(self, quadrants=None)


def with_features(
    inputs: Sequence[Input], clips: Clips, *, source: str | None = None
) -> tuple[Input, ...]:
    """Choose the source of handcrafted features.

    Parameters
    ----------
    inputs : inputs of a method
    clips : clips of the dataset
    source : one of ``FEATURE_SOURCES``; by default published if the dataset has the table, else
        extracted if every clip has audio

    Returns
    -------
    the inputs; tables are replaced by features from audio if these are to be extracted

    Raises
    ------
    ParameterError
        If the source is unknown, or given although the method reads no features.
    """
    if source not in (None, *FEATURE_SOURCES):
        known = ", ".join(FEATURE_SOURCES)
        raise ParameterError(f"features={source}: unknown; features are {known}")

    if source is not None and all(item.table is None for item in inputs):
        raise ParameterError(f"features={source}: the method reads no handcrafted features")

    def is_extracted(item: Input) -> bool:
        if item.table is None:
            return False
        has_audio = None not in clips.audio
        default = "extracted" if item.table not in clips.features and has_audio else "published"
        return (source or default) == "extracted"

    return tuple(Handcrafted() if is_extracted(item) else item for item in inputs)


def with_duration(inputs: Sequence[Input], duration: float) -> tuple[Input, ...]:
    """Return inputs with another excerpt length [s]; feature tables do not change.

    Raises
    ------
    ParameterError
        If the length is out of range.
    """
    if not SHORTEST <= duration <= LONGEST:
        raise ParameterError(
            f"duration={duration:g}: must be between {SHORTEST:g} and {LONGEST:g} seconds"
        )
    return tuple(item.with_duration(float(duration)) for item in inputs)


def with_weights(
    inputs: Sequence[Input],
    given: Path | str | None = None,
    *,
    allow_unverified: bool = False,
) -> tuple[Input, ...]:
    """Return inputs with the files of their pretrained networks.

    Parameters
    ----------
    inputs : inputs of a method
    given : file of weights, or folder that contains them, by default ``MER_WEIGHTS_ROOT``
    allow_unverified : whether files with unknown digests are accepted

    Raises
    ------
    ParameterError
        If weights are given although none are needed, or the given path does not exist.
    WeightsError
        If weights are needed and not found, or their digest is unknown.
    """
    networks = {item.network for item in inputs if item.network is not None}
    if given is not None and not networks:
        raise ParameterError(f"weights={given}: the method needs no pretrained weights")
    if given is not None and len(networks) > 1 and given_path(given, name="weights").is_file():
        raise ParameterError(
            f"weights={given}: the method needs {len(networks)} files; give a folder of them"
        )

    def complete(item: Input) -> Input:
        if item.network is None:
            return item
        weights = find_weights(item.network, given, allow_unverified=allow_unverified)
        return cast(Input, replace(cast(Any, item), weights=weights))

    return tuple(complete(item) for item in inputs)


def assemble(
    clips: Clips,
    inputs: Sequence[Input],
    *,
    store: Store,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Examples:
    """Return the inputs of a method for clips; missing representations are computed.

    Feature tables are read first, so that a missing table is reported before the computation.
    Files that decode shorter than they say are reported in one printed line.

    Parameters
    ----------
    clips : the clips
    inputs : inputs of the method
    store : cache of representations
    on_progress : called with (number computed, number to compute) after each clip

    Raises
    ------
    AudioError
        If audio files cannot be decoded.
    DatasetError
        If clips lack audio or features that an input needs.

        Examples
        --------
        >>> from mer_mlflow import get_method, load_dataset
        >>> from mer_mlflow.representations.store import open_store
        >>> clips = load_dataset("demo")  # doctest: +SKIP
        >>> examples = assemble(clips, get_method("cnn").inputs, open_store())  # doctest: +SKIP
        >>> examples.item_shape(0)  # doctest: +SKIP
        (128, 938)
    """
    feature_tables(clips, inputs)
    stored = store.fill_all(
        clips,
        [computed for item in inputs if (computed := representation_of(item)) is not None],
        on_progress=on_progress,
        on_warning=lambda words: print(f"warning: {words}", flush=True),
    )
    return examples_of(clips, inputs, stored)


def feature_tables(clips: Clips, inputs: Sequence[Input]) -> dict[str, ClipArray]:
    """Return the feature tables that are inputs, by name.

    Raises
    ------
    DatasetError
        If the clips lack one.
    """
    names = [item.table for item in inputs if item.table is not None]
    return {name: clips.feature_values(name) for name in names}


def examples_of(
    clips: Clips, inputs: Sequence[Input], stored: Mapping[str, StoredArray]
) -> Examples:
    """Return the inputs of a method for clips, whose representations are computed already.

    Parameters
    ----------
    clips : the clips
    inputs : inputs of the method
    stored : arrays of the clips by the representation's key, from :meth:`Store.fill_all`
    """
    everything, tables = np.arange(len(clips)), feature_tables(clips, inputs)

    def array(item: Input) -> ClipArray:
        if item.table is not None:
            return tables[item.table]
        found = stored[item.key]
        return found[everything] if math.prod(found.item_shape) <= SMALL else found

    return Examples(
        inputs=tuple(map(array, inputs)),
        positions=everything,
        quadrants=clips.quadrants,
        weights={
            item.network: item.weights
            for item in inputs
            if item.network is not None and item.weights is not None
        },
    )
