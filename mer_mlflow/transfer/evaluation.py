"""Models of a cross-validation's folds that also predict the clips of other datasets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.crossval.executors import Executor, FoldEvent, FoldFailed, FoldFinished
from mer_mlflow.crossval.jobs import Job
from mer_mlflow.crossval.setting import Setting, gather, task_of
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import IncompleteError
from mer_mlflow.representations import Examples, Store, assemble
from mer_mlflow.representations.examples import ClipArray, Joined
from mer_mlflow.representations.store import StoredArray
from mer_mlflow.transfer.overlap import Duplicate


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """Predictions of the models of a cross-validation.

    Attributes
    ----------
    setting : the cross-validation
    own : predicted labels of each fold's test clips [n_folds]
    others : clips of other datasets
    predicted : labels predicted for each of them by the model of each fold
        [n_others, shape=(n_folds, n_clips)]
    """

    setting: Setting
    own: tuple[NDArray[np.int64], ...]
    others: tuple[Clips, ...]
    predicted: tuple[NDArray[np.int64], ...]


def left_out(
    train: Clips, test: Clips, duplicates: Sequence[Duplicate]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Choose the clips that are left out, so that no recording is trained on and tested.

    They are left out of the dataset with more clips, because one dataset may contain the other.

    Parameters
    ----------
    train, test : clips of the two datasets
    duplicates : recordings that they have in common; ``first`` is a position in ``train``

    Returns
    -------
    positions in each of the datasets, one of them empty
    """
    none = np.empty(0, dtype=np.int64)
    if len(train) >= len(test):
        return np.unique(np.array([each.first for each in duplicates], dtype=np.int64)), none
    return none, np.unique(np.array([each.second for each in duplicates], dtype=np.int64))


def without(clips: Clips, positions: NDArray[np.int64]) -> Clips:
    """Return the clips except for those at given positions [shape=(n_left_out,)]."""
    return clips.take(np.setdiff1d(np.arange(len(clips)), positions))


def evaluate(
    setting: Setting,
    others: Sequence[Clips],
    *,
    executor: Executor,
    store: Store,
    on_clip: Callable[[int, int], None] = lambda done, total: None,
    on_fold: Callable[[int, int], None] = lambda done, total: None,
) -> Transfer:
    """Cross-validate a setting, and let the model of each fold predict other datasets.

    The models are those of the cross-validation alone, with the same seeds.

    Parameters
    ----------
    setting : what is trained; it reads audio only
    others : clips of other datasets
    executor : runs the folds
    store : cache of representations
    on_clip : called with (computed, to compute) after each clip's representation
    on_fold : called with (done, total) after each fold

    Raises
    ------
    IncompleteError
        If a fold fails.
    DatasetError, AudioError
        If clips lack audio, or it cannot be decoded.
    """
    examples = gather(setting, store=store, on_progress=on_clip)
    own_store = replace(store, arithmetic=setting.arithmetic)
    starts = []
    for clips in others:
        starts.append(len(examples))
        tested = assemble(clips, setting.inputs, store=own_store, on_progress=on_clip)
        examples = followed_by(examples, tested)
    rows = [start + np.arange(len(clips)) for start, clips in zip(starts, others, strict=True)]
    jobs = [
        Job(
            split=replace(split, test=np.concatenate([split.test, *rows])),
            hyperparameters=setting.hyperparameters,
        )
        for split in setting.plan.splits
    ]
    found: dict[str, NDArray[np.int64]] = {}

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldFailed):
            raise IncompleteError(f"fold {event.job.split.id} failed: {event.reason}")
        if isinstance(event, FoldFinished):
            found[event.job.split.id] = event.result.prediction.quadrants
            on_fold(len(found), len(jobs))

    executor.run(task_of(setting, examples), [(job,) for job in jobs], on_event=on_event)
    ends = np.cumsum([len(clips) for clips in others])[:-1]
    parts = [
        (found[split.id][: len(split.test)], np.split(found[split.id][len(split.test) :], ends))
        for split in setting.plan.splits
    ]
    return Transfer(
        setting=setting,
        own=tuple(own for own, _ in parts),
        others=tuple(others),
        predicted=tuple(np.stack([each[i] for _, each in parts]) for i in range(len(others))),
    )


def followed_by(train: Examples, tested: Examples) -> Examples:
    """Append the recordings of another dataset, for tests only.

    Parameters
    ----------
    train : examples of a dataset, with synthesised copies
    tested : recordings of another dataset, with the same inputs
    """
    start = len(train)
    sources = train.positions if train.sources is None else train.sources
    rows = start + tested.positions
    return Examples(
        inputs=tuple(
            _joined(own, other) for own, other in zip(train.inputs, tested.inputs, strict=True)
        ),
        positions=np.concatenate([train.positions, rows]),
        quadrants=np.concatenate([train.labels, tested.labels]),
        sources=np.concatenate([sources, rows]),
        weights=train.weights,
    )


def _joined(first: ClipArray, second: ClipArray) -> ClipArray:
    if isinstance(first, StoredArray) and isinstance(second, StoredArray):
        return replace(first, paths=(*first.paths, *second.paths))
    return Joined(first=first, second=second)
