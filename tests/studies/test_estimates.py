"""Estimates: from declared costs, from what was measured, and corrected as a study goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from mer_mlflow.datasets import Clips
from mer_mlflow.experiments import resolve
from mer_mlflow.methods import get_method
from mer_mlflow.representations import Handcrafted, Mel, open_store
from mer_mlflow.studies.estimates import (
    START_SECONDS,
    TRACKING_SECONDS,
    Cost,
    Load,
    Stop,
    clock,
    declared_cost,
    declared_load,
    estimate,
    load_of,
    measured_cost,
    n_points,
    preparation_seconds,
    seconds_left,
)
from mer_mlflow.studies.reading import parse_plan

QUICK = {"data.n_clips": "900", "cv.n_splits": "10", "data.seconds": "15"} | {
    "hp.epochs": "200",
    "hp.batch_size": "150",
    "hp.stop_accuracy": "0.9",
}


def test_load_counts_training_clips_seconds_and_epochs(demo: Clips) -> None:
    plan = parse_plan("{datasets: [demo], duration: 15, folds: 4}", name="mine", file="mine")
    cnn = load_of(resolve(plan.experiment("cnn", "demo"), demo).setting)
    assert cnn.epochs == get_method("cnn").quick_epochs
    assert cnn.clips == pytest.approx(160 * 3 / 4 * 15 / 30)
    assert cnn.steps == pytest.approx(160 * 3 / 4 / 4)
    svm = load_of(resolve(plan.experiment("svm", "demo"), demo).setting)
    assert svm == Load(clips=pytest.approx(160 * 3 / 4))


STUDY = Load(clips=810, steps=5.4, epochs=200, stop_accuracy=0.9)


def seconds(load: Load, cost: Cost) -> float:
    found = estimate(load, cost, n_folds=10, n_workers=2)
    return found.seconds - START_SECONDS - 10 * TRACKING_SECONDS


def test_unknown_ends_of_training_give_bounds() -> None:
    cost = Cost(seconds=0.001, step_seconds=0.1)
    assert seconds(STUDY, cost) == pytest.approx((0.81 + 0.54) * 200 * 5)
    assert str(estimate(STUDY, cost, n_folds=10, n_workers=2)) == "at most 0:22:41"
    assert not estimate(Load(clips=810), cost, n_folds=10, n_workers=2).is_bound


def test_usual_epochs_give_estimates() -> None:
    cost = Cost(seconds=0.001, stop=Stop(epochs=40, load=STUDY))
    assert seconds(STUDY, cost) == pytest.approx(0.81 * 40 * 5)
    assert str(estimate(STUDY, cost, n_folds=10, n_workers=2)) == "0:02:53"
    few, more = replace(STUDY, epochs=20), replace(STUDY, epochs=300)
    assert seconds(few, cost) == pytest.approx(0.81 * 20 * 5)
    assert seconds(more, cost) == pytest.approx(0.81 * 40 * 5)


@pytest.mark.parametrize(
    "other",
    [replace(STUDY, steps=54.0), replace(STUDY, stop_accuracy=1.0)],
    ids=["smaller batches", "another accuracy"],
)
def test_usual_epochs_of_other_trainings_are_not_used(other: Load) -> None:
    cost = Cost(seconds=0.001, stop=Stop(epochs=40, load=STUDY))
    assert seconds(other, cost) == pytest.approx(0.81 * 200 * 5)
    assert cost.is_bound(other)


def test_training_that_never_ended_early_may_end_later() -> None:
    cost = Cost(seconds=0.001, stop=Stop(epochs=199, load=STUDY))
    assert not cost.is_bound(STUDY)
    longer = replace(STUDY, epochs=300)
    assert cost.is_bound(longer) and cost.epochs(longer) == 300


def test_dense_networks_take_minutes_and_not_hours() -> None:
    method = get_method("dnn_100")
    load, cost = declared_load(method), declared_cost(method)
    whole = estimate(load, cost, n_folds=100, n_workers=2)
    assert not whole.is_bound
    assert 60 < whole.seconds < 360


def test_preparation_is_shared_by_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    cost = Cost(seconds=0.0)
    with_it, without = (
        estimate(STUDY, cost, n_folds=1, n_workers=1, preparation=share) for share in (100.0, 0.0)
    )
    assert with_it.seconds - without.seconds == pytest.approx(25.0)


def test_missing_representations_are_counted(demo: Clips, tmp_path: Path) -> None:
    plan = parse_plan("{datasets: [demo], duration: 15}", name="mine", file="mine")
    store = open_store(tmp_path)
    settings = [
        resolve(plan.experiment(name, "demo"), demo).setting for name in ("cnn", "cnn_tfm", "svm")
    ]
    cnn, tfm, svm = (preparation_seconds(setting, store) for setting in settings)
    assert svm == pytest.approx(160 * Handcrafted.cost / 2)
    assert cnn == pytest.approx(160 * Mel.cost / 2)
    assert tfm > 2 * cnn
    (mel,) = settings[0].representations
    path = store.path(mel, demo.audio_hashes[0])
    path.parent.mkdir(parents=True)
    path.touch()
    assert preparation_seconds(settings[0], store) == pytest.approx(159 * Mel.cost / 2)


def test_costs_are_read_from_finished_runs() -> None:
    method = get_method("cnn")
    cost = measured_cost(method, QUICK, fit_seconds=81.0, n_epochs=50.0, source="a run")
    assert cost is not None and cost.source == "a run"
    load = Load(clips=405, steps=5.4, epochs=200, stop_accuracy=0.9)
    assert cost.epochs(load) == 50
    assert cost.of_fold(load, 50) == pytest.approx(81.0)
    earlier = measured_cost(method, QUICK, fit_seconds=81.0, n_epochs=None, source="a run")
    assert earlier is not None and not earlier.is_bound(load)
    assert earlier.of_fold(load, 200) == pytest.approx(81.0)


@pytest.mark.parametrize(
    "change",
    [{"cv.n_splits": "ten"}, {"data.n_clips": "0"}, {"nested.strategy": "grid"}],
    ids=["not a number", "no clips", "a nested search"],
)
def test_unknown_costs(change: dict[str, str]) -> None:
    method = get_method("cnn")
    given = QUICK | change
    assert measured_cost(method, given, fit_seconds=1.0, n_epochs=2.0, source="") is None


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
