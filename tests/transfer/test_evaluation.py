"""Rows of examples that are tested only."""

import numpy as np

from mer_mlflow.crossval.splits import Split
from mer_mlflow.representations import Examples
from mer_mlflow.representations.store import StoredArray
from mer_mlflow.transfer.evaluation import followed_by


def examples(values, *, sources=None):
    n = len(values)
    return Examples(
        inputs=(np.array(values, dtype=np.float64)[:, np.newaxis],),
        positions=np.arange(n),
        quadrants=np.arange(n) % 4,
        sources=None if sources is None else np.array(sources),
    )


def test_copies_of_another_dataset_are_never_trained_on():
    train = examples([0, 1, 2, 100, 101, 102], sources=[0, 1, 2, 0, 1, 2])
    both = followed_by(train, examples([7, 8]))
    split = Split(repeat=1, fold=1, train=np.array([0, 2]), test=np.array([1, 6, 7]), seed=0)
    trained, tested = split.rows(both.positions, both.sources)
    assert both.take(trained).read(0)[:, 0].tolist() == [0, 2, 100, 102]
    assert both.take(tested).read(0)[:, 0].tolist() == [1, 7, 8]
    assert both.take(tested).labels.tolist() == [1, 0, 1]


def test_recordings_without_copies_are_joined_too():
    both = followed_by(examples([0, 1]), examples([7, 8, 9]))
    assert both.read(0)[:, 0].tolist() == [0, 1, 7, 8, 9]
    assert both.sources.tolist() == [0, 1, 2, 3, 4]


def test_stored_arrays_stay_in_the_store(tmp_path):
    paths = []
    for value in range(3):
        paths.append(tmp_path / f"{value}.npy")
        np.save(paths[-1], np.full(2, value))
    first, second = (
        Examples(
            inputs=(StoredArray(paths=tuple(own), item_shape=(2,)),),
            positions=np.arange(len(own)),
            quadrants=np.zeros(len(own), dtype=np.int64),
        )
        for own in (paths[:1], paths[1:])
    )
    both = followed_by(first, second)
    assert isinstance(both.inputs[0], StoredArray)
    assert both.read(0)[:, 0].tolist() == [0, 1, 2]
