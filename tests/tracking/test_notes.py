"""Names of runs, and their notes on MLflow's pages."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.splits import Split
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.tracking.dataset_input import dataset_input
from mer_mlflow.tracking.items import (
    File,
    Metric,
    Param,
    clips_table,
    setting_params,
    validation_items,
)
from mer_mlflow.tracking.notes import (
    is_of_the_study,
    run_name,
    started_note,
    validation_note,
    with_own_text,
)
from mer_mlflow.training import Prediction, Value

N_CLIPS = 16


def make_clips(*, name: str = "original-4qaed") -> Clips:
    return Clips(
        name=name,
        ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
        quadrants=np.arange(N_CLIPS) % 4,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=tuple(f"artist {i}" for i in range(N_CLIPS)),
        titles=("=SUM(A1)", *(f"title {i}" for i in range(1, N_CLIPS))),
        features={"top100": FeatureTable(names=("a",), values=np.ones((N_CLIPS, 1)))},
    )


def make_setting(
    *,
    protocol: str = "paper",
    name: str = "original-4qaed",
    hyperparameters: Mapping[str, Value] | None = None,
) -> Setting:
    clips = make_clips(name=name)
    plan = split_plan(clips, protocol=protocol, n_splits=4, n_repeats=2)
    return resolve_setting(
        get_method("svm"), clips, plan, hyperparameters=hyperparameters, features="published"
    )


def make_result(setting: Setting, split: Split, *, wrong: Mapping[str, int]) -> FoldResult:
    """Return a result that predicts some clips wrongly, in this many repetitions."""
    true = setting.clips.quadrants[split.test]
    times = [wrong.get(setting.clips.ids[i], 0) for i in split.test]
    quadrants = np.where(np.array(times) >= split.repeat, (true + 1) % 4, true)
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=true,
        prediction=Prediction(probabilities=0.1 + 0.6 * np.eye(4)[quadrants], quadrants=quadrants),
        epochs=(),
        started=0.0,
        fit_seconds=1.5,
        predict_seconds=0.1,
        peak_memory=100.0,
        n_parameters=None,
    )


def make_validation(setting: Setting, **wrong: int) -> CrossValidation:
    splits = setting.plan.splits
    return CrossValidation(
        setting=setting,
        results=tuple(make_result(setting, split, wrong=wrong) for split in splits),
    )


@pytest.mark.parametrize(
    ("facts", "tags", "name"),
    [
        ({}, {}, "svm · 2x4 · paper"),
        ({"protocol": "grouped"}, {}, "svm · 2x4 · grouped"),
        ({"hyperparameters": {"C": 2.0}}, {}, "svm · 2x4 · paper · C=2"),
        ({}, {"mer.trial": "3"}, "svm · trial 3 · 2x4 · paper"),
        ({"name": "own"}, {}, "svm · 2x4 · paper · own"),
    ],
)
def test_name_begins_with_what_differs(
    facts: dict[str, str], tags: dict[str, str], name: str
) -> None:
    assert run_name(make_setting(**facts), tags) == name  # type: ignore[arg-type]


def test_note_has_score_interval_published_score_and_links() -> None:
    note = validation_note(make_validation(make_setting(), c03=1), experiment="7", run_id="ab")
    assert note.startswith("**Macro F1 9")
    first = note.splitlines()[0]
    assert ", 100.00%]**, published 75.59% in another setting, arousal 9" in first
    assert "(#/experiments/7/runs/ab/artifacts/clips.html?" in note
    assert "viewStateShareKey=leaderboard" in note
    assert "searchFilter=tags.%60mer.kind%60%20%3D%20%27report%27" in note
    assert "more `repeats`" in note


def test_note_of_an_incomplete_run_says_how_to_continue() -> None:
    validation = make_validation(make_setting())
    partial = replace(validation, results=validation.results[:3])
    note = validation_note(partial, experiment="7", run_id="ab")
    assert note.startswith("**Incomplete**: 3 of 8 folds have a result; give the same command")


def test_text_of_a_user_is_kept() -> None:
    key = "mlflow.note.content"
    assert with_own_text("new", {}) == "new"
    assert with_own_text("new", {key: started_note(10)}) == "new"
    assert with_own_text("new", {key: "Ask Ana."}) == "new\n\nAsk Ana."


def test_setting_of_the_study_is_recognised() -> None:
    ids = tuple(f"c{i:03d}" for i in range(900))
    clips = replace(
        make_clips(),
        ids=ids,
        quadrants=np.arange(900) % 4,
        audio=(None,) * 900,
        audio_hashes=(None,) * 900,
        artists=ids,
        titles=(),
        features={"top100": FeatureTable(names=("a",), values=np.ones((900, 1)))},
    )

    def setting(protocol: str = "paper", n_splits: int = 10, **values: Value) -> Setting:
        plan = split_plan(clips, protocol=protocol, n_splits=n_splits, n_repeats=1)
        return resolve_setting(
            get_method("svm"), clips, plan, hyperparameters=values, features="published"
        )

    assert is_of_the_study(setting())
    for other in (setting("grouped"), setting(n_splits=5), setting(C=1.0), make_setting()):
        assert not is_of_the_study(other)


def test_intervals_are_within_the_range_of_scores_and_macro_f1_is_the_first_metric() -> None:
    items = validation_items(make_validation(make_setting(), c03=1, c09=2))
    metrics = {item.key: item.value for item in items if isinstance(item, Metric)}
    assert next(iter(metrics)) == "f1/macro"
    assert metrics["f1/macro_high"] == 1.0
    assert metrics["f1/macro_low"] < metrics["f1/macro"] < 1.0
    in_sections = [name for name in metrics if not name.startswith("details/")]
    assert len(in_sections) == 12
    assert list(metrics)[:12] == in_sections
    scores = {name: value for name, value in metrics.items() if not name.startswith("cost/")}
    assert all(0 <= value <= 1 for value in scores.values())


def test_clips_that_are_predicted_wrongly_come_first() -> None:
    validation = make_validation(make_setting(), c09=2, c03=1)
    table = clips_table(validation)
    assert list(table["clip"])[:3] == ["c09", "c03", "c00"]
    assert list(table["share_wrong"])[:3] == [1.0, 0.5, 0.0]
    first = table.iloc[0]
    assert (first["artist"], first["title"]) == ("artist 9", "title 9")
    assert (first["true"], first["predicted"]) == ("Q2", "Q3")
    assert (first["probability"], first["probability_of_true"]) == (0.7, 0.1)
    (content,) = (
        item.content
        for item in validation_items(validation)
        if isinstance(item, File) and item.name == "clips.csv"
    )
    written = pd.read_csv(io.BytesIO(content))
    assert len(written) == N_CLIPS
    assert "'=SUM(A1)" in set(written["title"])  # not a formula in a spreadsheet


def test_page_of_clips_shows_texts_as_they_are() -> None:
    clips = replace(make_clips(), artists=("<b>Ä & B</b>",) * N_CLIPS, titles=())
    validation = make_validation(replace(make_setting(), clips=clips), c09=2)
    (content,) = (
        item.content.decode()
        for item in validation_items(validation)
        if isinstance(item, File) and item.name == "clips.html"
    )
    assert "&lt;b&gt;Ä &amp; B&lt;/b&gt;" in content and "<b>" not in content
    assert "<th>artist</th>" in content and "<th>title</th>" not in content
    assert content.index("c09") < content.index("c00")


def test_parameters_have_no_empty_values() -> None:
    params = {item.key: item.value for item in setting_params(make_setting())}
    assert all(params.values())
    assert not {"data.seconds", "data.augmentations"} & params.keys()
    assert all(isinstance(item, Param) for item in setting_params(make_setting()))


def test_own_augmentations_that_are_not_used_are_named() -> None:
    setting = replace(make_setting(), method=get_method("hybrid_augmented"))
    params = {item.key: item.value for item in setting_params(setting)}
    assert params["data.augmentations"] == "none"


def test_dataset_has_columns_and_a_source(tmp_path: object) -> None:
    made = dataset_input(make_clips(), source=str(tmp_path)).dataset
    assert made.source_type == "local"
    assert str(tmp_path) in made.source
    for column in ("clip", "quadrant", "artist", "title", "top100"):
        assert f'"name": "{column}"' in made.schema
    assert '"name": "audio"' not in made.schema
    assert dataset_input(make_clips(), source="demo").dataset.source_type == "code"
