"""Runs of earlier versions, with other names of metrics and tags, give the same results."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient

from mer_mlflow import get_method, split_plan
from mer_mlflow.archive.container import open_archive
from mer_mlflow.archive.export import export_runs
from mer_mlflow.archive.restore import restore_runs
from mer_mlflow.crossval.executors import FoldFailed, FoldFinished, InlineExecutor
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.validation import validate
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.deployment.evidence import find_evidence
from mer_mlflow.errors import RunInProgressError
from mer_mlflow.reporting.validations import Validation, read_validations
from mer_mlflow.representations import assemble, open_store
from mer_mlflow.studies.evidence import collect, f1_of, latest_cost
from mer_mlflow.tracking import RunTree, describe_abandoned
from mer_mlflow.tracking.metric_names import FOLD_METRICS, PARENT_METRICS

EARLIER_TAGS = {
    "mer.process.host": "mer.host",
    "mer.process.pid": "mer.pid",
    "mer.process.started": "mer.process_started",
    "mer.process.announced": "mer.announced",
    "mer.process.heartbeat": "mer.heartbeat",
}
PARENT, FOLD = "cross-validation", "fold"
EMPTY = ("data.seconds", "data.augmentations")
"""Parameters that earlier versions recorded as empty texts."""


def make_setting() -> Setting:
    labels = np.arange(24) % 4
    values = np.random.default_rng(0).normal(size=(24, 5)) + np.eye(4, 5)[labels]
    clips = Clips(
        name="original-4qaed",
        ids=tuple(f"c{i:03d}" for i in range(24)),
        quadrants=labels,
        audio=(None,) * 24,
        audio_hashes=(None,) * 24,
        artists=(None,) * 24,
        features={"top100": FeatureTable(names=tuple("abcde"), values=values)},
    )
    return resolve_setting(
        get_method("svm"), clips, split_plan(clips, n_splits=3, n_repeats=1), features="published"
    )


def work(
    setting: Setting, *, stop_after: int | None = None
) -> tuple[RunTree, CrossValidation | None]:
    def on_fold(done: int, total: int, event: FoldFinished | FoldFailed) -> None:
        if done == stop_after:
            raise KeyboardInterrupt

    tree = RunTree(setting, tags={"mer.profile": "paper"}, source="made")
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


def make_earlier(store: Path) -> None:
    """Rename everything in a database as an earlier version has named it."""
    with contextlib.closing(sqlite3.connect(store / "mlflow.db")) as database, database:
        rename(database, "tags", EARLIER_TAGS)
        for kind, pairs in ((PARENT, PARENT_METRICS), (FOLD, FOLD_METRICS)):
            for table in ("metrics", "latest_metrics"):
                rename(database, table, {new: old for old, new in pairs}, kind=kind)
        for table in ("metrics", "latest_metrics"):
            database.execute(f"UPDATE {table} SET key = replace(key, 'details/', '')")
        database.execute("DELETE FROM experiment_tags")
        database.execute("DELETE FROM tags WHERE key = 'mlflow.note.content'")
        parents = database.execute("SELECT run_uuid FROM tags WHERE value = ?", [PARENT]).fetchall()
        rows = [(run_id, key, "") for (run_id,) in parents for key in EMPTY]
        database.executemany("INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)", rows)


def rename(
    database: sqlite3.Connection, table: str, names: Mapping[str, str], *, kind: str = ""
) -> None:
    of_kind = "SELECT run_uuid FROM tags WHERE key = 'mer.kind' AND value LIKE ?"
    for new, old in names.items():
        database.execute(
            f"UPDATE {table} SET key = ? WHERE key = ? AND run_uuid IN ({of_kind})",
            (old, new, kind or "%"),
        )


def only_validation(client: MlflowClient, experiment: str = "0") -> Validation:
    (item,) = read_validations(client, [experiment]).validations
    return item


def content(item: Validation) -> dict[str, object]:
    """Return what a report reads of a run, apart from names of this version's own tags."""
    own = ("run_id", "experiment_id", "artifacts", "tags", "started")
    values = {name: getattr(item, name) for name in asdict(item) if name not in own}
    tables = {key: each for key, each in values.items() if isinstance(each, pd.DataFrame)}
    values |= {key: each.to_dict("list") for key, each in tables.items()}
    return {**values, "params": {key: text for key, text in item.params.items() if text}}


def test_report_study_and_models_read_the_same_from_an_earlier_run(store: Path) -> None:
    client, setting = MlflowClient(), make_setting()
    tree, _ = work(setting)

    def read() -> tuple[object, ...]:
        found = collect(client, "0", {"svm": setting.method})
        run = found.training(setting)
        assert run is not None
        evidence = find_evidence(client, "0", setting)
        assert evidence is not None
        cost = latest_cost(client, "0", setting.method)
        item = only_validation(client)
        return content(item), item.setting, f1_of(run), found.costs, cost, evidence.metrics

    now = read()
    make_earlier(store)
    metrics = client.get_run(tree.run_id).data.metrics
    assert {"f1_macro_mean", "f1_macro_std", "fit_seconds_total"} <= metrics.keys()
    assert not any("/" in name for name in metrics)
    assert read() == now


def test_archive_of_an_earlier_version_gives_the_same_report(store: Path) -> None:
    client = MlflowClient()
    work(make_setting())
    now = content(only_validation(client))
    make_earlier(store)
    export_runs(client, "0", store / "earlier.zip")
    with open_archive(store / "earlier.zip") as archive:
        imported = restore_runs(client, archive, "imported")
    assert content(only_validation(client, imported.experiment_id)) == now


def test_complete_earlier_run_is_not_repeated(store: Path) -> None:
    first, _ = work(make_setting())
    make_earlier(store)
    second, _ = work(make_setting())
    assert second.duplicate_of == first.run_id
    note = MlflowClient().get_run(second.run_id).data.tags["mlflow.note.content"]
    assert note.startswith("Nothing was run") and first.run_id in note


def test_interrupted_earlier_run_is_continued_with_the_same_scores(store: Path) -> None:
    first, _ = work(make_setting(), stop_after=2)
    make_earlier(store)
    second, validation = work(make_setting())
    assert second.n_adopted == 2
    assert validation is not None and validation.is_complete
    mine = only_validation(MlflowClient())
    assert mine.run_id == second.run_id
    earlier = MlflowClient().get_run(first.run_id)
    assert earlier.data.tags["mer.superseded_by"] == second.run_id
    assert second.run_id in earlier.data.tags["mlflow.note.content"]


def test_earlier_run_of_a_living_process_is_not_taken_over(store: Path) -> None:
    tree = RunTree(make_setting(), tags={}, source="made")
    with tree:
        make_earlier(store)
        assert describe_abandoned(MlflowClient(), "0") == []
        with pytest.raises(RunInProgressError, match="executing the same cross-validation"):
            work(make_setting())
        MlflowClient().set_tag(tree.run_id, "mer.pid", "999999999")
        (line,) = describe_abandoned(MlflowClient(), "0")
        assert "process 999999999" in line
        tree.give_up()
