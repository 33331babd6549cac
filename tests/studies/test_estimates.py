"""Estimates: from declared costs, from what was measured, and corrected as a study goes on."""

from __future__ import annotations

import pytest

from mer_mlflow.datasets import Clips
from mer_mlflow.experiments import resolve
from mer_mlflow.methods import get_method
from mer_mlflow.studies.estimates import (
    START_SECONDS,
    Cost,
    Load,
    clock,
    cost_of_run,
    estimate,
    load_of,
    n_points,
    seconds_left,
)
from mer_mlflow.studies.reading import parse_plan


def test_load_counts_training_clips_seconds_and_epochs(demo: Clips) -> None:
    plan = parse_plan("{datasets: [demo], duration: 15, folds: 4}", name="mine", file="mine")
    cnn = load_of(resolve(plan.experiment("cnn", "demo"), demo).setting)
    assert cnn.epochs == get_method("cnn").quick_epochs
    assert cnn.units == pytest.approx(160 * 3 / 4 * 15 / 30 * cnn.epochs)
    svm = load_of(resolve(plan.experiment("svm", "demo"), demo).setting)
    assert svm == Load(units=pytest.approx(160 * 3 / 4), epochs=None)


def test_declared_costs_are_bounds_where_training_may_stop_early() -> None:
    load = Load(units=1000, epochs=200)
    rough = estimate(load, Cost(seconds=0.1), n_folds=10, n_workers=2)
    assert rough.seconds == pytest.approx(START_SECONDS + 500)
    assert str(rough) == "≤ 0:08:30"
    measured = estimate(load, Cost(seconds=0.1, epochs=200), n_folds=10, n_workers=2)
    assert str(measured) == "0:08:30"
    assert estimate(load, Cost(seconds=0.1), n_folds=1, n_workers=8).seconds == pytest.approx(
        START_SECONDS + 100
    )


def test_costs_are_read_from_finished_runs() -> None:
    params = {"data.n_clips": "900", "cv.n_splits": "10", "data.seconds": "15", "hp.epochs": "200"}
    metrics = {"fit_seconds_total": 8100.0, "folds_done": 100.0}
    cost = cost_of_run(get_method("cnn"), params, metrics)
    assert cost is not None
    assert cost.seconds == pytest.approx(81 / (810 * 0.5 * 200))
    assert cost.epochs == 200
    svm = cost_of_run(get_method("svm"), params | {"data.seconds": ""}, metrics)
    assert svm is not None
    assert svm.seconds == pytest.approx(81 / 810 / 200)
    assert cost_of_run(get_method("cnn"), params, {}) is None


def test_settings_of_a_search_are_counted() -> None:
    space = {"a": (1, 2, 3), "b": (1, 2), "c": (1,)}
    assert n_points("grid", space, 20) == 6
    assert n_points("tpe", space, 20) == 20
    assert n_points("neighbour", space, 20) == 1 + 2 + 1


def test_long_items_say_more_of_the_rest_than_short_ones() -> None:
    assert seconds_left([100, 50], []) == 150
    assert seconds_left([100], [(100, 400), (10**6, 10**6)]) == pytest.approx(100, rel=0.01)
    assert seconds_left([100], [(10, 10), (10**6, 2 * 10**6)]) == pytest.approx(200, rel=0.01)
    assert seconds_left([100], [(10, 40)]) < 150


def test_clock() -> None:
    assert clock(59.6) == "0:01:00"
    assert clock(4597 * 3600 + 61) == "4597:01:01"
