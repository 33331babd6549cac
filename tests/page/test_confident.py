"""Label suspects: the clips outside of the diagonal of the confident joint."""

from __future__ import annotations

import numpy as np

from mer_mlflow.page.confident import label_suspects


def test_clip_with_a_wrong_label_is_a_suspect() -> None:
    rng = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 50)
    probabilities = 0.85 * np.eye(4)[truth] + 0.15 * rng.dirichlet(np.ones(4), len(truth))
    labels = truth.copy()
    labels[[3, 77, 150]] = [2, 0, 1]
    assert np.flatnonzero(label_suspects(labels, probabilities)).tolist() == [3, 77, 150]


def test_class_that_is_predicted_too_readily_has_a_higher_threshold() -> None:
    """A clip below the mean confidence of another class is no suspect, although it is predicted."""
    labels = np.array([0, 0, 0, 1, 1])
    second = np.array([0.2, 0.2, 0.6, 0.9, 0.7])
    probabilities = np.column_stack([1 - second, second])
    assert probabilities[2].argmax() != labels[2]
    assert not label_suspects(labels, probabilities).any()


def test_class_without_clips_has_no_suspects() -> None:
    probabilities = np.array([[0.2, 0.1, 0.7], [0.6, 0.1, 0.3], [0.1, 0.8, 0.1]])
    assert not label_suspects(np.array([0, 0, 1]), probabilities)[0]
