"""Out-of-fold predictions: means, nearest clips, suspects of several methods, scores without."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mer_mlflow.crossval.metrics import score
from mer_mlflow.datasets import QUADRANTS
from mer_mlflow.page.out_of_fold import (
    compare_without,
    mean_predictions,
    nearest,
    same_clips,
    suspects,
    true_probability,
)
from mer_mlflow.reporting.validations import Validation

Make = Callable[..., Validation]


def sure(quadrant: str, share: float = 0.91) -> tuple[float, ...]:
    rest = (1 - share) / 3
    return tuple(share if each == quadrant else rest for each in QUADRANTS)


def clean(n_clips: int = 8) -> dict[str, tuple[str, list[tuple[float, ...]]]]:
    """Clips of all quadrants, all predicted right in two repetitions."""
    return {
        f"clip-{i}": (name := QUADRANTS[i % 4], [sure(name), sure(name)]) for i in range(n_clips)
    }


def test_probabilities_are_means_over_repetitions(make_validation: Make) -> None:
    rows = {
        "a": ("Q1", [(0.8, 0.1, 0.1, 0.0), (0.4, 0.5, 0.1, 0.0)]),
        "b": ("Q3", [(0.0, 0.9, 0.1, 0.0), (0.0, 0.7, 0.3, 0.0)]),
    }
    table = mean_predictions(make_validation(rows))
    assert table.loc["a", list(QUADRANTS)].tolist() == pytest.approx([0.6, 0.3, 0.1, 0.0])
    assert table["quadrant"].to_dict() == {"a": "Q1", "b": "Q3"}
    # one vote each: the more probable quadrant
    assert table["predicted"].to_dict() == {"a": "Q1", "b": "Q2"}
    assert true_probability(table).to_dict() == pytest.approx({"a": 0.6, "b": 0.2})


def test_nearest_clips_come_first(make_validation: Make) -> None:
    table = mean_predictions(make_validation(clean(40)))
    found = nearest(table, sure("Q3"))
    assert len(found) == 5
    assert set(found["quadrant"]) == {"Q3"}
    assert found["distance"].tolist() == pytest.approx([0.0] * 5)


def test_suspects_are_those_of_the_mean_over_methods(make_validation: Make) -> None:
    rows = clean()
    wrong = {**rows, "clip-0": ("Q1", [sure("Q4"), sure("Q4")])}
    doubted = make_validation(wrong, method="svm")
    assert suspects([doubted]) == {"clip-0"}
    others = [make_validation(rows, method=name) for name in ("cnn", "crnn", "hybrid")]
    assert suspects([doubted, *others]) == set()
    # a second run of a method adds no weight to it
    assert suspects([doubted, doubted, doubted, doubted, *others]) == set()


def test_only_runs_on_the_same_clips_are_averaged(make_validation: Make) -> None:
    one, other = make_validation(clean()), make_validation(clean(), digest="other")
    assert same_clips(one, [one, other]) == [one]


def test_scores_without_clips_are_those_of_the_others(make_validation: Make) -> None:
    rows = clean(16)
    rows["clip-3"] = ("Q4", [sure("Q1"), sure("Q1")])
    validation = make_validation(rows, folds=2)
    found = compare_without(validation, {"clip-3", "elsewhere"})
    assert (found.n_left_out, found.n_clips) == (1, 16)
    predictions = validation.predictions
    expected = [
        score(*(fold[each].map(QUADRANTS.index).to_numpy() for each in ("quadrant", "predicted")))
        for _, fold in predictions.groupby("split")
    ]
    assert found.everything == pytest.approx(np.mean([each["f1_macro"] for each in expected]))
    assert found.everything < found.without
    assert np.isnan(compare_without(validation, set(rows)).without)
