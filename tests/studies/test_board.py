"""The board: what finished runs, data and the gate say of each item."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import WeightsError
from mer_mlflow.experiments import resolve
from mer_mlflow.studies import board as module
from mer_mlflow.studies.board import Board, Data, PlannedItem
from mer_mlflow.studies.items import Action, Item, ItemStatus
from mer_mlflow.studies.plan import Plan
from mer_mlflow.studies.reading import parse_plan

GATED = """
datasets: [demo, folder]
profile: quick
duration: 2
methods: [svm, dnn_100, dnn_1714]
gate: {baseline: svm, tables: [3], except: [dnn_1714, not_yet_written]}
"""


def parse(text: str) -> Plan:
    return parse_plan(text, name="mine", file="mine")


def board_of(plan: Plan, clips: Clips, **changes: Any) -> Board:
    data = {name: Data(clips=replace(clips, name=name)) for name in plan.datasets}
    defaults = {
        "experiment": "0",
        "execution": {"workers": 2},
        "storage": None,
    }
    if "client" not in changes:
        changes["client"] = MlflowClient()
    return Board(plan, changes.pop("data", data), **defaults | changes)


def seen(board: Board, method: str, dataset: str) -> PlannedItem:
    return board.planned_items[Item(action=Action.TRAIN, method=method, dataset=dataset)]


def finished(plan: Plan, clips: Clips, method: str, f1: float, **tags: str) -> str:
    """Leave a complete run behind, as a training does."""
    setting = resolve(plan.experiment(method, clips.name), clips).setting
    facts = {
        "kind": "cross-validation",
        "status": "complete",
        "identity": setting.identity,
        "folds_expected": str(len(setting.plan.splits)),
        "method": method,
        "dataset": clips.name,
        **tags,
    }
    client = MlflowClient()
    run = client.create_run("0", tags={f"mer.{key}": value for key, value in facts.items()})
    client.log_metric(run.info.run_id, "f1/macro", f1)
    client.set_terminated(run.info.run_id)
    return str(run.info.run_id)


def test_finished_runs_are_recognised_and_trials_are_not(store: Path, demo: Clips) -> None:
    plan = parse(GATED)
    run_id = finished(plan, demo, "svm", 0.6)
    finished(plan, demo, "dnn_100", 0.6, trial="3")
    finished(plan, demo, "dnn_1714", 0.6, folds_expected="50")
    board = board_of(plan, demo)
    assert seen(board, "svm", "demo").state.status == ItemStatus.DONE
    assert seen(board, "svm", "demo").state.run_id == run_id
    assert seen(board, "svm", "demo").arguments is None
    for method in ("dnn_100", "dnn_1714"):
        assert seen(board, method, "demo").state.status == ItemStatus.TO_DO


@pytest.mark.parametrize(
    ("scores", "status", "reason"),
    [
        ({"svm": 0.606, "dnn_100": 0.606}, ItemStatus.TO_DO, ""),
        (
            {"svm": 0.606, "dnn_100": 0.601},
            ItemStatus.NOT_CONDUCTED,
            "F1 60.1 on demo is below svm's 60.6",
        ),
        ({"dnn_100": 0.7}, ItemStatus.TO_DO, "if its F1 is not below svm's"),
    ],
)
def test_gate(
    store: Path, demo: Clips, scores: dict[str, float], status: ItemStatus, reason: str
) -> None:
    plan = parse(GATED)
    for method, f1 in scores.items():
        finished(plan, demo, method, f1)
    board = board_of(plan, demo)
    state = seen(board, "dnn_100", "folder").state
    assert (state.status, state.reason) == (status, reason)
    assert seen(board, "dnn_1714", "folder").state.reason == ""
    assert seen(board, "svm", "folder").state.status == ItemStatus.TO_DO


def test_gate_without_a_baseline_to_compare_with(store: Path, demo: Clips) -> None:
    plan = parse(GATED)
    finished(plan, demo, "dnn_100", 0.7)
    board = board_of(plan, demo)
    svm = Item(action=Action.TRAIN, method="svm", dataset="demo")
    item = Item(action=Action.TRAIN, method="dnn_100", dataset="folder")
    board.set_state(svm, replace(board.states[svm], status=ItemStatus.FAILED))
    state = board.refresh(item).state
    assert state.status == ItemStatus.NOT_CONDUCTED
    assert state.reason == "no result of svm on demo to compare with"


def test_what_a_dataset_lacks_is_named(store: Path, demo: Clips) -> None:
    plan = parse("{datasets: [demo, folder], profile: quick, methods: [svm, cnn]}")
    names = tuple(f"F{i}" for i in range(100))
    values = np.random.default_rng(0).normal(size=(len(demo), 100))
    silent = replace(
        demo,
        audio=(None,) * len(demo),
        features={"top100": FeatureTable(names=names, values=values)},
    )
    data = {"demo": Data(clips=silent), "folder": Data(reason="data_root=/x: the folder is empty")}
    board = board_of(plan, demo, data=data)
    assert seen(board, "svm", "demo").state.status == ItemStatus.TO_DO
    cnn = seen(board, "cnn", "demo").state
    assert cnn.status == ItemStatus.NO_DATA
    assert "160 of 160 clips have no audio file" in cnn.reason
    svm = seen(board, "svm", "folder").state
    assert (svm.status, svm.reason) == (ItemStatus.NO_DATA, "data_root=/x: the folder is empty")


def test_what_cannot_be_set_up_is_passed_over(
    store: Path, demo: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = parse("{datasets: [demo], duration: 2, methods: [svm, crnn]}")
    crnn = seen(board_of(plan, demo), "crnn", "demo").state
    assert crnn.status == ItemStatus.CANNOT_RUN
    assert crnn.reason == "duration=2: crnn needs at least 3.1 seconds"

    def without_weights(*args: object, **named: object) -> None:
        raise WeightsError("crnn_mtat: no weights in /w;\ngive weights=")

    monkeypatch.setattr(module, "resolve", without_weights)
    svm = seen(board_of(plan, demo), "svm", "demo").state
    assert svm.status == ItemStatus.NEEDS_WEIGHTS
    assert svm.reason == "crnn_mtat: no weights in /w; give weights="


def test_trainings_wait_for_their_search_and_fall_with_it(store: Path, demo: Clips) -> None:
    plan = parse("""
{datasets: [demo], duration: 2, methods: [svm, cnn, cnn_gru],
 searches: {svm: , cnn: {variants: {strategy: neighbour}}}}""")
    board = board_of(plan, demo)
    assert seen(board, "svm", "demo").state.reason == "after its search"
    assert seen(board, "svm", "demo").arguments is None
    variant = Item(action=Action.SEARCH, method="cnn_gru", dataset="demo")
    assert board.planned_items[variant].state.reason == "after search cnn"
    cnn = Item(action=Action.SEARCH, method="cnn", dataset="demo")
    arguments = board.planned_items[cnn].arguments
    assert arguments is not None
    assert arguments["space"].startswith("learning_rate=")
    assert "start" not in arguments
    board.set_state(cnn, replace(board.states[cnn], status=ItemStatus.FAILED))
    for item in (variant, Item(action=Action.TRAIN, method="cnn", dataset="demo")):
        state = board.refresh(item).state
        assert state.status == ItemStatus.NOT_CONDUCTED
        assert state.reason == "no winner: search cnn demo failed"


def test_without_a_store_nothing_is_known(demo: Clips) -> None:
    plan = parse("{datasets: [demo], duration: 2, folds: 3, methods: [svm]}")
    board = board_of(plan, demo, client=None, experiment="")
    planned_item = seen(board, "svm", "demo")
    assert (planned_item.folds, planned_item.state.status) == ("1 x 3", ItemStatus.TO_DO)
    assert planned_item.arguments is not None
    assert planned_item.arguments == {
        "dataset": "demo",
        "folds": "3",
        "duration": "2.0",
        "workers": "2",
    }
