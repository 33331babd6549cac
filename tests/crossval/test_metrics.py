"""Scores against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, precision_recall_fscore_support

from mer_mlflow.crossval.metrics import (
    SCORES,
    Summary,
    score,
    scores_of_counts,
    summarise,
    with_interval,
)
from mer_mlflow.datasets import QUADRANTS

QUADRANT = st.integers(0, len(QUADRANTS) - 1)


def test_perfect_prediction_scores_one() -> None:
    labels = np.array([0, 1, 2, 3])
    assert score(labels, labels) == dict.fromkeys(SCORES, 1.0)


def test_scores_by_hand() -> None:
    true = np.array([0, 0, 0, 1, 2, 3])
    predicted = np.array([0, 0, 1, 1, 2, 2])
    values = score(true, predicted)
    precision = np.array([1, 1 / 2, 1 / 2, 0])
    recall = np.array([2 / 3, 1, 1, 0])
    f1 = np.array([4 / 5, 2 / 3, 2 / 3, 0])
    weights = np.array([3, 1, 1, 1]) / 6
    assert values["precision_macro"] == pytest.approx(precision.mean())
    assert values["recall_macro"] == pytest.approx(recall.mean())
    assert values["f1_macro"] == pytest.approx(f1.mean())
    assert values["f1_weighted"] == pytest.approx(f1 @ weights)
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert [values[f"f1_q{k}"] for k in range(1, 5)] == pytest.approx(f1)


@given(st.lists(st.tuples(QUADRANT, QUADRANT), min_size=1, max_size=200))
def test_scores_have_the_bits_of_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    true, predicted = np.array(pairs).T
    labels = list(range(len(QUADRANTS)))
    expected = {"accuracy": float(accuracy_score(true, predicted))}
    for average in ("macro", "weighted", None):
        found = precision_recall_fscore_support(
            true, predicted, labels=labels, average=average, zero_division=0
        )
        if average is None:
            expected |= {f"f1_q{k}": float(value) for k, value in enumerate(found[2], start=1)}
        else:
            names = ("precision", "recall", "f1")
            expected |= {f"{n}_{average}": float(v) for n, v in zip(names, found, strict=False)}
    values = score(true, predicted)
    assert {name: values[name] for name in expected} == expected


def test_arousal_joins_upper_quadrants_and_valence_right_ones() -> None:
    true = np.array([0, 0, 2, 2])
    assert score(true, np.array([1, 1, 3, 3]))["arousal_accuracy"] == 1
    assert score(true, np.array([1, 1, 3, 3]))["valence_accuracy"] == 0
    assert score(true, np.array([3, 3, 1, 1]))["arousal_accuracy"] == 0
    assert score(true, np.array([3, 3, 1, 1]))["valence_accuracy"] == 1


def test_confusion_matrices_have_the_scores_of_their_predictions() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(4, size=(2, 20, 12))
    true[0], predicted[1] = 0, 3
    counts = np.zeros((20, 4, 4), dtype=np.int64)
    for matrix, *labels in zip(counts, true, predicted, strict=True):
        np.add.at(matrix, tuple(labels), 1)
    values = scores_of_counts(counts)
    assert list(values) == list(SCORES)
    for i in range(20):
        expected = score(true[i], predicted[i])
        assert {name: each[i] for name, each in values.items()} == pytest.approx(expected)


def test_interval_is_widened_for_overlapping_folds() -> None:
    values = np.array([0.5, 0.6, 0.7])
    summary = summarise(values, test_share=1 / 2)
    half = 4.302652729911275 * 0.1 * math.sqrt(1 / 3 + 1 / 2)
    assert summary.mean == pytest.approx(0.6)
    assert summary.std == pytest.approx(0.1)
    assert summary.high - summary.mean == pytest.approx(half)
    assert summary.mean - summary.low == pytest.approx(half)


def test_one_fold_has_no_deviation() -> None:
    summary = summarise(np.array([0.5]), test_share=0.1)
    assert summary.mean == 0.5
    assert math.isnan(summary.std)
    assert math.isnan(summary.low)


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.7, 0.9, "80.00% [70.00%, 90.00%]"),
        (0.5, 1.1, "80.00% [50.00%, 100.00%]"),
        (-0.1, 0.9, "80.00% [0.00%, 90.00%]"),
        (math.nan, math.nan, "80.00%"),
    ],
)
def test_interval_stays_within_the_range_of_a_score(low: float, high: float, text: str) -> None:
    summary = Summary(mean=0.8, std=0.1, low=low, high=high, n_folds=5)
    assert with_interval(summary) == text
