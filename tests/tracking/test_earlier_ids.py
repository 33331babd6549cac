"""Folds of clips that an earlier version gave other ids are found, and nothing is run again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from mlflow import MlflowClient

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.executors import FoldFailed, FoldFinished, InlineExecutor
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.validation import validate
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.representations import assemble, open_store
from mer_mlflow.tracking import RunTree

N_FOLDS, N_CLIPS = 4, 32
pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def setting_of() -> Callable[[bool], Setting]:
    """A setting under the ids of an earlier version, or of this one."""
    labels = np.arange(N_CLIPS) % 4
    values = np.random.default_rng(0).normal(size=(N_CLIPS, 5)) + np.eye(4, 5)[labels]
    clips = Clips(
        name="folder",
        ids=tuple(f"x/c{i:03d}" for i in range(N_CLIPS)),
        quadrants=labels,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
        features={"top100": FeatureTable(names=tuple("abcde"), values=values)},
    )
    earlier = tuple(f"/home/ann/{clip}" for clip in clips.ids)

    def setting(is_earlier: bool) -> Setting:
        mine = replace(clips, ids=earlier) if is_earlier else replace(clips, earlier_ids=earlier)
        plan = split_plan(mine, n_splits=N_FOLDS, n_repeats=1)
        return resolve_setting(get_method("svm"), mine, plan)

    return setting


def work(
    setting: Setting, *, stop_after: int | None = None
) -> tuple[RunTree, CrossValidation | None]:
    def on_fold(done: int, total: int, event: FoldFinished | FoldFailed) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    tree = RunTree(setting, tags={"mer.profile": "quick"}, source="made")
    tree.on_fold = on_fold
    examples = assemble(setting.clips, setting.inputs, store=open_store())
    try:
        with tree as runs:
            validation = validate(setting, examples, executor=InlineExecutor(), listener=runs)
            if runs.duplicate_of is None:
                runs.conclude(validation)
    except KeyboardInterrupt:
        return tree, None
    return tree, validation


def folds(tree: RunTree) -> dict[str, dict[str, str]]:
    """Tags of the finished folds below a run, by split."""
    found = MlflowClient().search_runs(
        [tree.experiment_id],
        f"tags.`mlflow.parentRunId` = '{tree.run_id}' and status = 'FINISHED'",
    )
    return {run.data.tags["mer.split"]: dict(run.data.tags) for run in found}


def test_interrupted_run_is_continued_under_the_new_ids(
    setting_of: Callable[[bool], Setting],
) -> None:
    old, new = setting_of(True), setting_of(False)
    assert new.identity != old.identity
    assert new.earlier is not None
    assert new.earlier.identity == old.identity
    whole, expected = work(old)
    MlflowClient().delete_run(whole.run_id)
    for run in MlflowClient().search_runs([whole.experiment_id], "tags.`mer.kind` = 'fold'"):
        MlflowClient().delete_run(run.info.run_id)
    first, _ = work(old, stop_after=2)
    second, validation = work(new)
    assert (second.n_adopted, second.n_run) == (2, 2)
    assert validation is not None
    assert expected is not None
    np.testing.assert_array_equal(
        validation.predictions.filter(like="p_Q"), expected.predictions.filter(like="p_Q")
    )
    assert set(validation.predictions["clip"]) == set(new.clips.ids)
    tags = folds(second)
    assert len(tags) == N_FOLDS
    assert {each["mer.identity"] for each in tags.values()} == {new.identity}
    assert sum("mer.copied_from" in each for each in tags.values()) == 2
    assert len(folds(first)) == 2, "what was recorded stays as it is"
    status = MlflowClient().get_run(first.run_id).data.tags["mer.status"]
    assert status == "superseded"
    third, _ = work(new)
    assert third.duplicate_of == second.run_id
    assert third.n_run == 0


def test_complete_run_is_found_under_the_new_ids(setting_of: Callable[[bool], Setting]) -> None:
    first, _ = work(setting_of(True))
    second, validation = work(setting_of(False))
    assert second.duplicate_of == first.run_id
    assert second.n_run == 0
    assert validation is not None
    assert validation.is_complete
    assert MlflowClient().get_run(first.run_id).data.tags["mer.status"] == "complete"


def test_other_clips_are_not_found(setting_of: Callable[[bool], Setting]) -> None:
    work(setting_of(True))
    new = setting_of(False)
    values = new.clips.features["top100"].values + 1.0
    table = FeatureTable(names=tuple("abcde"), values=values)
    other = replace(new, clips=replace(new.clips, features={"top100": table}))
    tree, _ = work(other)
    assert (tree.n_adopted, tree.n_run) == (0, N_FOLDS)
