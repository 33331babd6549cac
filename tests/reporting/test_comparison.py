"""The comparison table from runs of every state."""

from __future__ import annotations

from itertools import count

import pytest
from mlflow import MlflowClient

from mer_mlflow.reporting.comparison import comparison_rows, to_frame, to_markdown

pytestmark = pytest.mark.usefixtures("store")
numbers = count()


def make_parent(status: str, *, method: str = "svm", identity: str = "a", f1: float = 0.5) -> str:
    client = MlflowClient()
    tags = {
        "mer.kind": "cross-validation",
        "mer.status": status,
        "mer.identity": identity,
        "mer.method": method,
        "mer.dataset": "original-4qaed",
        "mer.protocol": "paper",
        "mer.folds_expected": "3",
    }
    run_id = str(client.create_run("0", start_time=next(numbers), tags=tags).info.run_id)
    client.log_param(run_id, "cv.n_repeats", 1)
    client.log_param(run_id, "cv.n_splits", 3)
    if status == "complete":
        client.log_metric(run_id, "folds_done", 3)
        for measure in ("precision", "recall", "f1"):
            client.log_metric(run_id, f"{measure}_macro_mean", f1)
            client.log_metric(run_id, f"{measure}_macro_std", 0.01)
    return run_id


def make_fold(parent: str, split: str, status: str, *, identity: str = "a") -> None:
    client = MlflowClient()
    tags = {
        "mlflow.parentRunId": parent,
        "mer.kind": "fold",
        "mer.identity": identity,
        "mer.split": split,
    }
    run = client.create_run("0", tags=tags)
    if status != "RUNNING":
        client.set_terminated(run.info.run_id, status)


def table() -> list[dict[str, str]]:
    return to_frame(comparison_rows(MlflowClient(), "0")).to_dict("records")


def test_empty_store_gives_an_empty_table() -> None:
    assert table() == []
    assert to_markdown([]).count("\n") == 2


def test_complete_run_has_scores_beside_the_published_one() -> None:
    run_id = make_parent("complete", f1=0.7581)
    (row,) = table()
    assert row["f1"] == "75.81 ± 1.00"
    assert row["folds"] == "3/3"
    assert row["published F1"] == "75.59"
    assert row["protocol"] == "paper 1 x 3"
    assert row["run"] == run_id[:8]


def test_partial_run_has_no_scores() -> None:
    run_id = make_parent("interrupted")
    make_fold(run_id, "r01-f01", "FINISHED")
    make_fold(run_id, "r01-f02", "FINISHED")
    make_fold(run_id, "r01-f03", "FAILED")
    (row,) = table()
    assert row["f1"] == "partial"
    assert row["folds"] == "2/3"


@pytest.mark.parametrize("status", ["superseded", "duplicate", "failed"])
def test_runs_that_gave_way_are_left_out(status: str) -> None:
    make_parent(status)
    assert table() == []


def test_complete_run_goes_before_a_later_partial_one_of_the_same_identity() -> None:
    complete = make_parent("complete")
    make_parent("running")
    assert [row["run"] for row in table()] == [complete[:8]]


def test_latest_of_two_complete_runs_counts() -> None:
    make_parent("complete", f1=0.4)
    latest = make_parent("complete", f1=0.5)
    assert [row["run"] for row in table()] == [latest[:8]]


def test_settings_are_rows_in_the_order_of_the_studys_tables() -> None:
    make_parent("complete", method="crnn", identity="b")
    make_parent("complete", method="svm", identity="a")
    make_parent("complete", method="retired_method", identity="c")
    rows = table()
    assert [row["method"] for row in rows] == ["svm", "crnn", "retired_method"]
    assert rows[2]["published F1"] == "–"
