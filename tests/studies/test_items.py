"""Items: their order, the gate, and the table that a study's run keeps."""

from __future__ import annotations

import pytest

from mer_mlflow.studies.items import (
    Action,
    Item,
    ItemState,
    ItemStatus,
    gate_verdict,
    items_csv,
    plan_items,
    search_item,
)
from mer_mlflow.studies.plan import Plan
from mer_mlflow.studies.reading import parse_plan


def plan(text: str) -> Plan:
    return parse_plan(text, name="mine", file="mine")


TUNED = """
datasets: [original-4qaed, new-4qaed-c]
methods: [svm, cnn, crnn]
searches: {cnn: , svm: {per_dataset: true}}
"""


def test_datasets_follow_one_another_with_searches_before_trainings() -> None:
    assert [str(item) for item in plan_items(plan(TUNED))] == [
        "search cnn original-4qaed",
        "search svm original-4qaed",
        "svm original-4qaed",
        "cnn original-4qaed",
        "crnn original-4qaed",
        "search svm new-4qaed-c",
        "svm new-4qaed-c",
        "cnn new-4qaed-c",
        "crnn new-4qaed-c",
    ]


@pytest.mark.parametrize(
    ("method", "dataset"), [("cnn", "original-4qaed"), ("svm", "new-4qaed-c"), ("crnn", None)]
)
def test_winners_come_from_the_first_dataset_unless_each_is_tuned(
    method: str, dataset: str | None
) -> None:
    item = Item(action=Action.TRAIN, method=method, dataset="new-4qaed-c")
    needed = search_item(plan(TUNED), item)
    assert (needed.dataset if needed else None) == dataset


@pytest.mark.parametrize(
    ("f1", "baseline_f1", "verdict"),
    [
        (0.62, 0.606, ""),
        (0.606, 0.606, ""),
        (0.601, 0.606, "F1 60.1 on demo is below cnn's 60.6"),
        (0.6059, 0.6061, "F1 60.59 on demo is below cnn's 60.61"),
        (0.601, None, "no result of cnn on demo to compare with"),
        (None, 0.606, "no result of cnn_tfm on demo to compare with"),
    ],
)
def test_gate_lets_pass_what_matches_the_baseline(
    f1: float | None, baseline_f1: float | None, verdict: str
) -> None:
    assert verdict == gate_verdict(
        dataset="demo", method="cnn_tfm", f1=f1, baseline="cnn", baseline_f1=baseline_f1
    )


def test_table_has_a_row_an_item() -> None:
    item = Item(action=Action.TRAIN, method="svm", dataset="demo")
    state = ItemState(
        status=ItemStatus.FAILED, reason='exit code 2: "a", b', run_id="", seconds=1.25
    )
    assert items_csv({item: state}).decode() == (
        "method,dataset,action,status,reason,run_id,seconds\n"
        'svm,demo,train,failed,"exit code 2: ""a"", b",,1.2\n'
    )


def test_reason_in_the_table_is_no_formula() -> None:
    item = Item(action=Action.TRAIN, method="svm", dataset="demo")
    state = ItemState(status=ItemStatus.FAILED, reason="=1+1")
    assert "svm,demo,train,failed,'=1+1,,\n" in items_csv({item: state}).decode()
