"""Clips: the immutable, ordered table of a dataset's clips."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.errors import DatasetError, listing

QUADRANTS = ("Q1", "Q2", "Q3", "Q4")
"""Russell's quadrants in label order: label 0 is Q1 (high arousal, positive valence)."""


@dataclass(frozen=True, kw_only=True)
class FeatureTable:
    """Handcrafted features, one row a clip.

    Attributes
    ----------
    names : feature names, most relevant first if the source ranks them
    values : features [shape=(n_clips, n_features)], NaN in the rows of clips without features
    unpublished : columns that are not in the published table; empty if that is unknown
    missing : columns of the published table that are not in this table
    """

    names: tuple[str, ...]
    values: NDArray[np.float64]
    unpublished: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Clips:
    """The clips of a dataset, ordered by id.

    Attributes
    ----------
    name : the dataset's name
    ids : clip ids [n_clips], unique and sorted
    quadrants : labels [shape=(n_clips,)], 0 to 3 for Q1 to Q4
    audio : audio file of each clip, None if it has none
    audio_hashes : content hash of each audio file, None if there is none
    artists : artist of each clip, None if unknown
    features : feature tables by name (``"top100"``, ``"all"``)
    fixed_splits : part of each clip (``"train"``, ``"validate"``, ``"test"``, None) by split name
    titles : title of each clip, None if unknown; empty if the dataset has no titles
    genres : genres of each clip, None if unknown; empty if the dataset has no genres
    arousal, valence : published values from -1 to 1, with the quadrants meeting at 0
        [shape=(n_clips,)], NaN if unknown; None if the dataset has no values
    earlier_ids : ids of these clips in earlier versions, in the same order; None if they are the
        same
    """

    name: str
    ids: tuple[str, ...]
    quadrants: NDArray[np.int64]
    audio: tuple[Path | None, ...]
    audio_hashes: tuple[str | None, ...]
    artists: tuple[str | None, ...]
    features: Mapping[str, FeatureTable] = field(default_factory=dict)
    fixed_splits: Mapping[str, tuple[str | None, ...]] = field(default_factory=dict)
    titles: tuple[str | None, ...] = ()
    genres: tuple[str | None, ...] = ()
    arousal: NDArray[np.float64] | None = None
    valence: NDArray[np.float64] | None = None
    earlier_ids: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        columns: tuple[Sequence[object], ...] = (self.audio, self.audio_hashes, self.artists)
        columns = (*columns, *(column for column in (self.titles, self.genres) if column))
        values = [each for each in (self.arousal, self.valence) if each is not None]
        if any(len(column) != len(self.ids) for column in (self.quadrants, *columns, *values)):
            raise ValueError("every column of Clips must have one entry a clip")
        if len(values) == 1:
            raise ValueError("arousal and valence are given together")
        if list(self.ids) != sorted(set(self.ids)):
            raise ValueError("clip ids must be unique and sorted")
        tables = (table.values for table in self.features.values())
        for array in (self.quadrants, *values, *tables):
            array.setflags(write=False)

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def counts(self) -> dict[str, int]:
        """Number of clips in each quadrant."""
        counts = np.bincount(self.quadrants, minlength=len(QUADRANTS))
        return dict(zip(QUADRANTS, counts.tolist(), strict=True))

    @property
    def digest(self) -> str:
        """Hex digest of ids, labels, audio contents, features and values of arousal and valence; it
        does not depend on paths."""
        rows = [
            [clip, int(label), content]
            for clip, label, content in zip(
                self.ids, self.quadrants, self.audio_hashes, strict=True
            )
        ]
        digest = hashlib.sha256(json.dumps(rows).encode())
        for name, table in sorted(self.features.items()):
            digest.update(json.dumps([name, table.names]).encode())
            digest.update(np.ascontiguousarray(table.values).tobytes())
        for name, values in (("arousal", self.arousal), ("valence", self.valence)):
            if values is not None:
                digest.update(name.encode() + values.astype("<f8").tobytes())
        return digest.hexdigest()[:16]

    def take(self, indices: NDArray[np.int64]) -> Clips:
        """Return the clips at given positions, in the dataset's order.

        Parameters
        ----------
        indices : positions of the clips to keep [shape=(n_kept,)]
        """
        kept = np.unique(indices)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in kept),
            quadrants=self.quadrants[kept],
            audio=tuple(self.audio[i] for i in kept),
            audio_hashes=tuple(self.audio_hashes[i] for i in kept),
            artists=tuple(self.artists[i] for i in kept),
            features={
                name: replace(table, values=table.values[kept])
                for name, table in self.features.items()
            },
            fixed_splits={
                name: tuple(parts[i] for i in kept) for name, parts in self.fixed_splits.items()
            },
            titles=tuple(self.titles[i] for i in kept) if self.titles else (),
            genres=tuple(self.genres[i] for i in kept) if self.genres else (),
            arousal=None if self.arousal is None else self.arousal[kept],
            valence=None if self.valence is None else self.valence[kept],
            earlier_ids=self.earlier_ids and tuple(self.earlier_ids[i] for i in kept),
        )

    def as_earlier(self) -> Clips | None:
        """Return the same clips with the ids of earlier versions, None if these are the same."""
        if self.earlier_ids is None:
            return None
        return replace(self, ids=self.earlier_ids, earlier_ids=None)

    def audio_files(self) -> tuple[Path, ...]:
        """Return the audio file of every clip.

        Raises
        ------
        DatasetError
            If a clip has no audio file.
        """
        missing = [clip for clip, path in zip(self.ids, self.audio, strict=True) if path is None]
        if missing:
            raise DatasetError(
                f"dataset {self.name}: {len(missing)} of {len(self)} clips have no audio file "
                f"({listing(missing)}); add the files, or use a method that reads a feature table"
            )
        return tuple(path for path in self.audio if path is not None)

    def feature_values(self, table: str) -> NDArray[np.float64]:
        """Return the features of every clip [shape=(n_clips, n_features)].

        Raises
        ------
        DatasetError
            If the dataset has no such table, or clips have no row in it.
        """
        if table not in self.features:
            there = ", ".join(sorted(self.features)) or "none"
            raise DatasetError(
                f"dataset {self.name} has no feature table '{table}' (tables: {there}); "
                "add its CSV to the data root, or give features=extracted if there is audio"
            )
        values = self.features[table].values
        missing = [self.ids[i] for i in np.flatnonzero(np.isnan(values).any(axis=1))]
        if missing:
            raise DatasetError(
                f"dataset {self.name}: feature table '{table}' has no complete row for "
                f"{len(missing)} clips ({listing(missing)}); complete the CSV, remove the clips, "
                "or give features=extracted"
            )
        return values
