"""Split plans: the protocol's folds, a function of clips, protocol and seed alone."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS, Clips
from mer_mlflow.errors import DatasetError, ParameterError

FIXED = "fixed"
PROTOCOLS = ("paper", "grouped", FIXED)
"""``paper``: stratified folds. ``grouped``: no artist on both sides. ``fixed``: the partition that
the dataset brings; of several the one named 70_15_15. ``fixed-NAME`` is the partition NAME."""
PARTITION = f"{FIXED}-"
USUAL_PARTITION = "70_15_15"

MOST_REPEATS = 1000
LARGEST_SEED = 2**31 - 1
"""What all libraries that draw something take."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """One train-test split.

    Attributes
    ----------
    repeat, fold : int >= 1
    train, test : positions of clips [shape=(n_train,)], [shape=(n_test,)]
    seed : seed of everything that is random in this fold
    """

    repeat: int
    fold: int
    train: NDArray[np.int64]
    test: NDArray[np.int64]
    seed: int

    @property
    def id(self) -> str:
        """Name of the split, such as ``r01-f10``."""
        return split_id(self.repeat, self.fold)

    def rows(
        self, positions: NDArray[np.int64], sources: NDArray[np.int64] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Divide recordings and what was synthesised from them.

        Parameters
        ----------
        positions : clip of each row, in ascending order; a synthesised clip's is no clip of the
            dataset [shape=(n_rows,)]
        sources : clip that each row is or was synthesised from [shape=(n_rows,)], None where all
            rows are recordings

        Returns
        -------
        train, test : rows that train, in ascending order: a synthesised clip does where its source
            does. Rows that are tested: recordings only

        Raises
        ------
        ValueError
            If a source is not the clip of a recording, or a tested clip has no row.
        """
        sources = positions if sources is None else sources
        recordings = positions[sources == positions]
        if not np.isin(sources, recordings).all():
            raise ValueError("a synthesised clip must be made from a recording")
        if not np.isin(self.test, recordings).all():
            raise ValueError("a tested clip must be a recording")
        train = np.flatnonzero(np.isin(sources, self.train))
        return train, np.searchsorted(positions, self.test)


@dataclass(frozen=True, kw_only=True)
class SplitPlan:
    """The splits of a protocol on a dataset, shared by all methods.

    Attributes
    ----------
    protocol : one of ``PROTOCOLS``, or ``fixed-`` and the name of a partition of the dataset
    n_splits, n_repeats : folds of a repetition, repetitions; fewer repetitions are a prefix of more
    seed : that the plan was drawn with
    splits : all splits, repetition by repetition
    """

    protocol: str
    n_splits: int
    n_repeats: int
    seed: int
    splits: tuple[Split, ...]

    @property
    def test_share(self) -> float:
        """Clips tested per clip trained on, averaged over the splits."""
        return float(np.mean([len(split.test) / len(split.train) for split in self.splits]))

    @property
    def digest(self) -> str:
        """Hex digest of the first repetition's splits, the same for any number of repetitions."""
        digest = hashlib.sha256()
        for split in self.splits[: self.n_splits]:
            digest.update(split.train.astype("<i8").tobytes())
            digest.update(split.test.astype("<i8").tobytes())
        return digest.hexdigest()[:16]

    def to_frame(self, clips: Clips) -> pd.DataFrame:
        """Table of repeat, fold, clip and side (``train`` or ``test``), a row for each use."""
        rows: list[dict[str, Any]] = [
            {"repeat": split.repeat, "fold": split.fold, "clip": clips.ids[i], "side": side}
            for split in self.splits
            for side, positions in (("train", split.train), ("test", split.test))
            for i in positions
        ]
        return pd.DataFrame(rows)


def split_plan(
    clips: Clips,
    *,
    protocol: str = "paper",
    n_splits: int = 10,
    n_repeats: int = 10,
    seed: int = 0,
) -> SplitPlan:
    """Draw the splits of a protocol.

    Parameters
    ----------
    clips : the dataset
    protocol : one of ``PROTOCOLS``, or ``fixed-`` and the name of a partition of the dataset
    n_splits : int >= 2, folds of a repetition; a fixed partition has one whatever is requested
    n_repeats : int from 1 to 1000, repetitions, each with its own shuffle
    seed : int from 0 to 2**31 - 1

    Raises
    ------
    ParameterError
        If the protocol is unknown, a number out of range or the dataset too small.
    DatasetError
        If the protocol needs artists or a partition that the dataset lacks.
    """
    check_protocol(protocol)
    if not 1 <= n_repeats <= MOST_REPEATS:
        raise ParameterError(f"repeats={n_repeats}: must be >= 1 and <= {MOST_REPEATS}")
    check_seed(seed)
    if is_fixed(protocol):
        pairs = [[_fixed_split(clips, _partition(clips, protocol))]] * n_repeats
    else:
        _check_folds(clips, n_splits)
        groups = _artist_groups(clips, n_splits) if protocol == "grouped" else None
        pairs = [
            _folds(clips, groups, n_splits=n_splits, seed=derived_seed(seed, repeat))
            for repeat in range(1, n_repeats + 1)
        ]
    splits = tuple(
        Split(
            repeat=repeat, fold=fold, train=train, test=test, seed=derived_seed(seed, repeat, fold)
        )
        for repeat, folds in enumerate(pairs, start=1)
        for fold, (train, test) in enumerate(folds, start=1)
    )
    return SplitPlan(
        protocol=protocol,
        n_splits=len(pairs[0]),
        n_repeats=n_repeats,
        seed=seed,
        splits=splits,
    )


def is_fixed(protocol: str) -> bool:
    """Whether a protocol is a partition of the dataset: all repetitions test the same clips."""
    return protocol == FIXED or protocol.startswith(PARTITION)


def check_protocol(protocol: str) -> None:
    """Make sure that a protocol is known; whether a dataset has its partition is not checked.

    Raises
    ------
    ParameterError
        If it is unknown.
    """
    if protocol not in PROTOCOLS and not protocol.startswith(PARTITION):
        known = ", ".join((*PROTOCOLS, f"{PARTITION}NAME"))
        raise ParameterError(f"protocol={protocol}: unknown; protocols are {known}")


def split_id(repeat: int, fold: int) -> str:
    """Name of a split by its repetition and its fold, both counted from 1."""
    return f"r{repeat:02d}-f{fold:02d}"


def check_seed(seed: int) -> None:
    """Make sure that a seed can be drawn from.

    Raises
    ------
    ParameterError
        If it is negative or too large.
    """
    if not 0 <= seed <= LARGEST_SEED:
        raise ParameterError(f"seed={seed}: must be >= 0 and <= {LARGEST_SEED}")


def derived_seed(*numbers: int) -> int:
    """Return a seed for the repetition, or the repetition and fold, of a plan's seed."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0] >> 1)


def _check_folds(clips: Clips, n_splits: int) -> None:
    if n_splits < 2:
        raise ParameterError(f"folds={n_splits}: must be >= 2")
    quadrant, count = min(clips.counts.items(), key=lambda item: item[1])
    if count < n_splits:
        raise ParameterError(
            f"folds={n_splits}: dataset {clips.name} has only {count} clips of {quadrant}; "
            "every fold needs one of each quadrant"
        )


def _artist_groups(clips: Clips, n_splits: int) -> NDArray[np.int64]:
    if not any(clips.artists):
        raise DatasetError(
            f"protocol=grouped: dataset {clips.name} names no artists; "
            "add its metadata CSV, or use protocol=paper"
        )
    names = [artist or f"\0{clip}" for clip, artist in zip(clips.ids, clips.artists, strict=True)]
    numbers = {name: i for i, name in enumerate(dict.fromkeys(names))}
    groups = np.array([numbers[name] for name in names])
    for label, quadrant in enumerate(QUADRANTS):
        n_artists = len(np.unique(groups[clips.quadrants == label]))
        if n_artists < n_splits:
            raise ParameterError(
                f"folds={n_splits}: dataset {clips.name} has only {n_artists} artists in {quadrant}"
            )
    return groups


def _folds(
    clips: Clips, groups: NDArray[np.int64] | None, *, n_splits: int, seed: int
) -> list[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(
        n_splits, shuffle=True, random_state=seed
    )
    folds = list(splitter.split(np.zeros(len(clips)), clips.quadrants, groups))
    if any(len(np.unique(clips.quadrants[test])) < len(QUADRANTS) for _, test in folds):
        raise ParameterError(
            f"folds={n_splits}: artists of dataset {clips.name} leave a fold without one of the "
            "quadrants; use fewer folds"
        )
    return folds


def _partition(clips: Clips, protocol: str) -> str:
    """Name of the dataset's partition that a protocol is."""
    if protocol == FIXED and len(clips.fixed_splits) == 1:
        return next(iter(clips.fixed_splits))
    wanted = USUAL_PARTITION if protocol == FIXED else protocol.removeprefix(PARTITION)
    for name in clips.fixed_splits:
        if name.replace("_", "-") == wanted.replace("_", "-"):
            return name
    there = ", ".join(PARTITION + name.replace("_", "-") for name in sorted(clips.fixed_splits))
    advice = f"it has {there}" if there else "it has none: use protocol=paper"
    raise DatasetError(f"protocol={protocol}: dataset {clips.name} lacks that partition; {advice}")


def _fixed_split(clips: Clips, split: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    parts = np.array([part or "" for part in clips.fixed_splits[split]])
    train, test = np.flatnonzero(parts == "train"), np.flatnonzero(parts == "test")
    for part, positions in (("train", train), ("test", test)):
        if len(np.unique(clips.quadrants[positions])) < len(QUADRANTS):
            raise DatasetError(f"dataset {clips.name}: part {part} of {split} lacks a quadrant")
    return train, test
