"""Votes of chunks, and that a clip's chunks stay together."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mer_mlflow.representations import Examples
from mer_mlflow.training.chunk_vote import by_segment, vote
from mer_mlflow.training.method import EpochRecord, OnEpoch, Prediction, most_probable


def test_class_is_the_mode_even_where_the_mean_says_otherwise() -> None:
    chunks = np.array([[[0.4, 0.6, 0, 0], [0.4, 0.6, 0, 0], [0.9, 0.1, 0, 0]]])
    prediction = vote(chunks)
    assert prediction.quadrants.tolist() == [1]
    assert prediction.probabilities.argmax() == 0
    assert np.allclose(prediction.probabilities, [[1.7 / 3, 1.3 / 3, 0, 0]])


def test_ties_are_broken_by_the_mean_probability() -> None:
    chunks = np.array(
        [
            [[0.7, 0.3, 0, 0], [0.2, 0.8, 0, 0]],
            [[0.8, 0.2, 0, 0], [0.3, 0.7, 0, 0]],
            [[0.1, 0.3, 0.2, 0.4], [0.1, 0.2, 0.4, 0.3]],
        ]
    )
    assert vote(chunks).quadrants.tolist() == [1, 0, 3]


@given(
    hnp.arrays(
        np.float64, st.tuples(*[st.integers(1, 6)] * 2, st.just(4)), elements=st.floats(0, 1)
    )
)
def test_winner_has_at_least_as_many_votes_as_any(chunks: Any) -> None:
    prediction = vote(chunks)
    for clip, quadrant in zip(chunks, prediction.quadrants, strict=True):
        votes = np.bincount(clip.argmax(axis=1), minlength=4)
        tied = np.flatnonzero(votes == votes.max())
        assert votes[quadrant] == votes.max()
        assert clip.mean(axis=0)[quadrant] == clip.mean(axis=0)[tied].max()


@dataclass(frozen=True, kw_only=True)
class Echo:
    """Says the quadrant that is the first value of a chunk."""

    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        return most_probable(np.eye(4)[examples.read(0)[:, 0].astype(int)])

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def test_chunks_train_with_their_clips_label_and_clips_are_predicted() -> None:
    values = np.zeros((5, 3, 2))
    values[..., 0] = [[0, 0, 1], [1, 1, 0], [2, 2, 2], [3, 0, 3], [0, 1, 1]]
    labels = np.array([0, 1, 2, 3, 1])
    examples = Examples(inputs=(values,), positions=np.arange(5), quadrants=labels)
    seen: list[tuple[int, ...]] = []

    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: OnEpoch) -> Echo:
        seen.append(train.read(0).shape)
        assert train.labels.tolist() == np.repeat(labels[[4, 1, 3]], 3).tolist()
        expected = values[[4, 1, 3]].reshape(9, 2)
        assert np.array_equal(train.read(0), expected)
        assert np.array_equal(train.read(0, np.array([5, 0])), expected[[5, 0]])
        on_epoch(EpochRecord(epoch=1, loss=0.0, accuracy=1.0), Echo().predict)
        return Echo()

    def on_epoch(record: EpochRecord, predict: Any) -> None:
        assert predict(examples).quadrants.tolist() == labels.tolist()
        seen.append((record.epoch,))

    fitted = by_segment(fit)(examples.take(np.array([4, 1, 3])), None, 0, on_epoch)
    assert fitted.predict(examples.without_labels()).quadrants.tolist() == labels.tolist()
    assert seen == [(9, 2), (1,)]
