"""Reading cross-validations from a store: what counts, what is set aside, what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from mer_mlflow.crossval.metrics import summarise
from mer_mlflow.reporting.validations import ALLOWED, Selection, Validation, read_validations


def read(*experiments: str) -> Selection:
    return read_validations(MlflowClient(), experiments or ["0"])


def only(selection: Selection) -> Validation:
    (item,) = selection.validations
    return item


@pytest.mark.usefixtures("store")
def test_empty_store_has_nothing() -> None:
    selection = read()
    assert selection.validations == ()
    assert selection.by_frame() == {}


def test_complete_run_is_read_with_its_tables(add_run: Callable[..., str]) -> None:
    run_id = add_run(share_right=1.0)
    item = only(read())
    assert item.run_id == run_id
    assert item.is_complete
    assert (item.n_done, item.n_expected, item.n_clips) == (8, 8, 80)
    assert list(item.scores()) == [1.0] * 8
    assert item.summary().mean == 1.0
    assert item.test_share == pytest.approx(1 / 3)
    assert len(item.predictions) == 160
    assert item.epochs.empty
    assert (item.title, item.table, item.setting, item.selection) == ("SVM", 2, (), "default")
    assert item.published_f1 == 75.59


def test_summary_is_that_of_the_parent_run(add_run: Callable[..., str]) -> None:
    add_run("cnn", share_right=0.6)
    item = only(read())
    summary = item.summary()
    for name in ("mean", "std", "low", "high"):
        assert getattr(summary, name) == pytest.approx(item.metrics[f"f1_macro_{name}"])
    assert set(item.epochs["split"]) == set(item.folds["split"])
    assert np.all(item.folds["n_parameters"] == 1234)


def test_partial_run_counts_its_finished_folds_and_has_no_scores(
    add_run: Callable[..., str], add_fold: Callable[[str, str, str], None]
) -> None:
    run_id = add_run(status="interrupted")
    for split, status in (("r01-f01", "FINISHED"), ("r01-f02", "FAILED"), ("r01-f03", "RUNNING")):
        add_fold(run_id, split, status)
    selection = read()
    item = only(selection)
    assert (item.n_done, item.n_expected) == (1, 8)
    assert item.folds.empty
    assert item.predictions.empty
    assert selection.complete == ()


@pytest.mark.parametrize("status", ["superseded", "duplicate", "failed", "pruned"])
def test_runs_that_gave_their_folds_away_are_left_out(
    add_run: Callable[..., str], status: str
) -> None:
    add_run(status=status)
    assert read().validations == ()


def test_of_two_finished_runs_with_one_identity_the_later_counts_once(
    add_run: Callable[..., str],
) -> None:
    add_run()
    later = add_run()
    add_run(status="interrupted")
    selection = read()
    assert only(selection).run_id == later
    assert selection.n_set_aside == 1


def test_part_of_a_larger_cross_validation_is_no_row(add_run: Callable[..., str]) -> None:
    part = add_run(n_repeats=1)
    larger = add_run(n_repeats=3)
    middle = add_run(n_repeats=2)
    other = add_run(n_repeats=1, hyperparameters={"C": 2.0})
    selection = read()
    assert {item.run_id for item in selection.validations} == {larger, other}
    found = {smaller.run_id: largest.run_id for smaller, largest in selection.parts}
    assert found == {part: larger, middle: larger}


def test_part_of_another_identity_is_a_row(add_run: Callable[..., str]) -> None:
    part = add_run(n_repeats=1, tags={"mer.identity": "of an earlier version"})
    larger = add_run(n_repeats=2)
    selection = read()
    assert {item.run_id for item in selection.validations} == {part, larger}
    assert selection.parts == ()


def test_part_of_the_same_identity_is_no_row_whatever_its_parameters(
    add_run: Callable[..., str],
) -> None:
    part = add_run(n_repeats=1)
    larger = add_run(n_repeats=2)
    MlflowClient().log_param(part, "data.note", "x")  # parameters do not identify a setting
    assert [item.run_id for item in read().validations] == [larger]


def test_unfinished_larger_cross_validation_contains_nothing(add_run: Callable[..., str]) -> None:
    add_run(n_repeats=1)
    add_run(n_repeats=2, status="interrupted")
    selection = read()
    assert [item.n_expected for item in selection.validations] == [4, 8]
    assert selection.parts == ()


def test_interval_stays_within_the_scale(add_run: Callable[..., str]) -> None:
    add_run(share_right=0.98)
    (item,) = read().complete
    f1 = item.summary()
    assert item.scores().mean() < f1.high <= 1
    unlimited = summarise(item.scores().to_numpy(), test_share=item.test_share)
    assert unlimited.high > 1


def test_trials_are_left_out_unless_they_were_trained(add_run: Callable[..., str]) -> None:
    add_run(tags={"mer.trial": "3"}, hyperparameters={"C": 2.0})
    add_run(tags={"mer.trial": "4", "mer.trained": "true"}, hyperparameters={"C": 4.0})
    assert only(read()).setting == ("C=4.0",)


@pytest.mark.parametrize(
    ("tags", "hyperparameters", "expected"),
    [
        ({}, None, "default"),
        ({}, {"C": 2.0}, "given"),
        ({"mer.tuned_by": "a study", "mer.selection": "not nested"}, {"C": 2.0}, "tuned"),
        ({"mer.tuned_by": "a study", "mer.selection": "nested"}, None, "nested"),
    ],
)
def test_selection_says_how_hyperparameters_were_found(
    add_run: Callable[..., str],
    tags: dict[str, str],
    hyperparameters: dict[str, float] | None,
    expected: str,
) -> None:
    add_run(tags=tags, hyperparameters=hyperparameters)
    assert only(read()).selection == expected


def test_filters_keep_what_they_name(add_run: Callable[..., str]) -> None:
    add_run("svm")
    add_run("cnn")
    add_run("svm", dataset="new-4qaed-c")
    add_run("svm", protocol="grouped")
    client = MlflowClient()

    def kept(**filters: object) -> set[tuple[str, str, str]]:
        found = read_validations(client, ["0"], **filters)  # type: ignore[arg-type]
        return {(item.method, item.dataset, item.protocol) for item in found.validations}

    assert len(kept()) == 4
    assert kept(methods=["cnn"]) == {("cnn", "original-4qaed", "paper")}
    assert kept(datasets=["new-4qaed-c"]) == {("svm", "new-4qaed-c", "paper")}
    assert kept(protocol="grouped") == {("svm", "original-4qaed", "grouped")}


def test_renamed_experiment_and_several_are_read(add_run: Callable[..., str]) -> None:
    client = MlflowClient()
    other = client.create_experiment("before")
    add_run("svm")
    add_run("cnn", experiment=other)
    client.rename_experiment(other, "after")
    assert {item.method for item in read("0", other).validations} == {"svm", "cnn"}


def test_labels_and_titles_tell_rows_apart(add_run: Callable[..., str]) -> None:
    add_run("svm")
    add_run("svm", hyperparameters={"C": 2.0})
    add_run("cnn")
    add_run("svm", n_clips=40)
    add_run("svm", dataset="new-4qaed-b")
    selection = read()
    labels = selection.labels()
    assert sorted(labels.values()) == [
        "CNN, 2 x 4 folds",
        "SVM, 2 x 4 folds",
        "SVM, 2 x 4 folds",
        "SVM, 2 x 4 folds",
        "SVM, 2 x 4 folds, C=2.0",
    ]
    assert sorted(set(selection.frame_titles().values())) == [
        "New-4QAED B",
        "Original-4QAED (40 clips)",
        "Original-4QAED (80 clips)",
    ]
    assert [len(items) for items in selection.by_frame().values()] == [3, 1, 1]


def test_rows_of_one_frame_never_share_a_label(add_run: Callable[..., str]) -> None:
    add_run("svm", n_repeats=1)
    add_run("svm", n_repeats=2, hyperparameters={"C": 2.0})
    add_run("cnn", tags={"mer.identity": "of version 1"})
    add_run("cnn", tags={"mer.identity": "of version 2"})
    selection = read()
    labels = selection.labels()
    assert len(set(labels.values())) == len(selection.by_frame()[selection.complete[0].frame]) == 4
    assert {"SVM, 1 x 4 folds", "SVM, 2 x 4 folds, C=2.0"} < set(labels.values())
    assert sum(name.startswith("CNN, 2 x 4 folds, run ") for name in labels.values()) == 2


def test_label_lists_what_differs_from_the_study(add_run: Callable[..., str]) -> None:
    tuned = add_run("svm", hyperparameters={"C": 2.0}, tags={"mer.tuned_by": "svm grid"})
    quick = add_run("cnn", hyperparameters={"epochs": 30}, tags={"mer.profile": "quick"})
    labels = read().labels()
    assert labels[tuned] == "SVM, 2 x 4 folds"
    assert labels[quick] == "CNN, quick profile, 2 x 4 folds, epochs=30"


def test_methods_of_other_versions_are_shown_by_name(add_run: Callable[..., str]) -> None:
    run_id = add_run()
    MlflowClient().set_tag(run_id, "mer.method", "crnn_of_tomorrow")
    item = only(read())
    assert (item.title, item.table, item.published_f1) == ("crnn_of_tomorrow", None, None)
    assert item.changed == {}


def predictions_of(run_id: str) -> Path:
    home = MlflowClient().get_run(run_id).info.artifact_uri.removeprefix("file://")
    return Path(home) / "predictions.parquet"


def test_labels_that_change_between_repetitions_are_named(add_run: Callable[..., str]) -> None:
    kept, run_id = add_run("cnn"), add_run("svm")
    table = pd.read_parquet(predictions_of(run_id))
    clip = table["clip"] == table["clip"].iloc[0]
    table.loc[clip & table["split"].str.startswith("r02"), "quadrant"] = "Q4"
    table.to_parquet(predictions_of(run_id), index=False)
    selection = read()
    assert only(selection).run_id == kept
    (left_out,) = selection.left_out
    assert str(left_out) == (
        f"run {run_id} is left out: predictions.parquet: a clip has two quadrants"
    )


def test_run_that_contradicts_most_others_is_left_out(add_run: Callable[..., str]) -> None:
    run_ids = [add_run(method) for method in ("svm", "cnn", "dnn_100")]
    table = pd.read_parquet(predictions_of(run_ids[0]))
    table["clip"] = table["clip"].replace({"ori000": "ori001", "ori001": "ori000"})
    table.to_parquet(predictions_of(run_ids[0]), index=False)
    selection = read()
    assert {item.run_id for item in selection.validations} == set(run_ids[1:])
    (left_out,) = selection.left_out
    assert left_out.run_id == run_ids[0]
    assert "differ from other runs of the dataset" in left_out.why


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_allowed_columns_are_a_remark(kept: int, add_run: Callable[..., str]) -> None:
    names = ", ".join(f"column {i}" for i in range(kept))
    add_run(tags={"mer.allowed_columns": names})
    item = only(read())
    assert item.setting == ()
    assert item.remarks == (f"{ALLOWED}: {names}",)
