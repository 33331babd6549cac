"""Cross-validation from Python, on features that are easy to tell apart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mer_mlflow import cross_validate, get_method, split_plan
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import CheckError, IncompleteError, ParameterError


def make_clips(*, separation: float, n_clips: int = 80, seed: int = 0) -> Clips:
    rng = np.random.default_rng(seed)
    labels = np.arange(n_clips) % 4
    values = rng.normal(size=(n_clips, 6)) + separation * np.eye(4, 6)[labels]
    return Clips(
        name="made",
        ids=tuple(f"c{i:03d}" for i in range(n_clips)),
        quadrants=labels,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=(None,) * n_clips,
        features={"top100": FeatureTable(names=tuple("abcdef"), values=values)},
    )


def test_separable_classes_are_told_apart_and_noise_is_not() -> None:
    scores = []
    for separation in (6.0, 0.0):
        clips = make_clips(separation=separation)
        plan = split_plan(clips, n_splits=4, n_repeats=3)
        result = cross_validate(
            get_method("svm"), clips, plan=plan, workers=0, allow_columns=tuple("abcd")
        )
        assert result.is_complete
        scores.append(result.summary["f1_macro"].mean)
    assert scores[0] > 0.95
    assert scores[1] < 0.4


def test_column_that_a_check_stands_against_is_read_only_where_it_is_allowed() -> None:
    clips = make_clips(separation=0.0)
    method, plan = get_method("svm"), split_plan(clips, n_splits=4, n_repeats=1)
    table = clips.features["top100"]
    values = np.column_stack([table.values, clips.quadrants])
    leaking = replace(
        clips, features={"top100": FeatureTable(names=(*table.names, "q"), values=values)}
    )
    with pytest.raises(CheckError, match=r"MER004 \(is a function of the quadrant\): q;"):
        cross_validate(method, leaking, plan=plan, workers=0)
    allowed = cross_validate(method, leaking, plan=plan, workers=0, allow_columns=["q"])
    assert [str(each.check.code) for each in allowed.setting.findings] == ["MER004"]
    setting = resolve_setting(method, clips, plan, allow_columns=["q"])
    assert setting.findings == ()
    assert setting.identity == resolve_setting(method, clips, plan).identity


def test_tables_have_a_row_for_each_fold_and_each_test_clip() -> None:
    clips = make_clips(separation=1.0)
    plan = split_plan(clips, n_splits=4, n_repeats=2)
    result = cross_validate(get_method("svm"), clips, plan=plan, workers=0)
    assert list(result.folds["split"]) == [split.id for split in plan.splits]
    assert len(result.predictions) == 2 * len(clips)
    probabilities = result.predictions[["p_Q1", "p_Q2", "p_Q3", "p_Q4"]].to_numpy()
    assert probabilities.sum(axis=1) == pytest.approx(1)


def test_identity_changes_with_all_that_changes_predictions() -> None:
    clips = make_clips(separation=1.0)
    method = get_method("svm")
    plan = split_plan(clips, n_splits=4, n_repeats=2, seed=0)
    base = resolve_setting(method, clips, plan).identity
    assert resolve_setting(method, clips, plan, hyperparameters={"C": "8.0"}).identity == base
    others = [
        resolve_setting(method, clips, plan, hyperparameters={"C": 4.0}),
        resolve_setting(method, clips, split_plan(clips, n_splits=4, n_repeats=2, seed=1)),
        resolve_setting(method, clips, split_plan(clips, n_splits=5, n_repeats=2)),
        resolve_setting(method, make_clips(separation=1.1), plan),
    ]
    identities = {base, *(other.identity for other in others)}
    assert len(identities) == 1 + len(others)


def test_identity_does_not_change_with_repetitions() -> None:
    clips = make_clips(separation=1.0)
    plans = [split_plan(clips, n_splits=4, n_repeats=n) for n in (1, 5)]
    one, five = (resolve_setting(get_method("svm"), clips, plan).identity for plan in plans)
    assert one == five


def test_network_identity_knows_excerpt_and_arithmetic(monkeypatch: pytest.MonkeyPatch) -> None:
    clips = make_clips(separation=1.0)
    plan = split_plan(clips, n_splits=4, n_repeats=1)
    method = get_method("cnn")
    settings = [
        resolve_setting(method, clips, plan).identity,
        resolve_setting(method, clips, plan, duration=10).identity,
        resolve_setting(method, clips, plan, threads=2).identity,
    ]
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    settings.append(resolve_setting(method, clips, plan).identity)
    assert len(set(settings)) == 4


def test_failed_folds_never_pass_for_a_result() -> None:
    clips = make_clips(separation=1.0)
    values = clips.features["top100"].values.copy()
    plan = split_plan(clips, n_splits=4, n_repeats=1)
    values[plan.splits[0].test[0]] = 1e300
    broken = replace(clips, features={"top100": FeatureTable(names=tuple("abcdef"), values=values)})
    plan = split_plan(broken, n_splits=4, n_repeats=1)
    with pytest.raises(IncompleteError, match="of 4 folds have a result"):
        cross_validate(get_method("svm"), broken, plan=plan, workers=0)


def test_splits_that_share_their_test_clips_give_no_interval() -> None:
    clips = make_clips(separation=1.0)
    parts = tuple(["train"] * 60 + ["test"] * 20)
    fixed = replace(clips, fixed_splits={"70_15_15": parts})
    plan = split_plan(fixed, protocol="fixed", n_repeats=3)
    summary = cross_validate(get_method("svm"), fixed, plan=plan, workers=0).summary["f1_macro"]
    assert np.isnan(summary.low)
    assert summary.n_folds == 3


def test_network_scores_do_not_depend_on_the_number_of_workers(demo: Clips) -> None:
    clips = demo.take(np.arange(24))
    plan = split_plan(clips, n_splits=2, n_repeats=1)
    small = {"epochs": 2, "batch_size": 4, "filters": 4, "dense_units": 8}
    one, two = (
        cross_validate(
            get_method("cnn"),
            clips,
            plan=plan,
            hyperparameters=small,
            duration=1.5,
            workers=workers,
        ).predictions
        for workers in (1, 2)
    )
    assert one.equals(two)


@pytest.mark.parametrize(
    "arguments", [{"duration": 0.0}, {"duration": -1.0}, {"duration": 1.0}, {"threads": 0}]
)
def test_bad_settings_are_named(arguments: dict[str, float]) -> None:
    clips = make_clips(separation=1.0)
    plan = split_plan(clips, n_splits=4, n_repeats=1)
    with pytest.raises(ParameterError, match=next(iter(arguments))):
        resolve_setting(get_method("cnn"), clips, plan, **arguments)  # type: ignore[arg-type]
