"""Cross-validations through a proxy that breaks answers: all folds are there, whole, and once."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.entities import ViewType

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.executors import FoldFailed, FoldFinished, InlineExecutor
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.validation import validate
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.errors import DeletedError, UndeliveredError
from mer_mlflow.representations import assemble, open_store
from mer_mlflow.tracking import RunTree
from mer_mlflow.tracking.delivery import PARENT, deliver_journal
from mer_mlflow.tracking.journal import Journal

pytestmark = [pytest.mark.platform, pytest.mark.usefixtures("store")]
N_SPLITS, N_REPEATS = 10, 2
N_FOLDS = N_SPLITS * N_REPEATS
BROKEN = {"empty": 0.03, "page": 0.03, "do and empty": 0.03, "do and cut": 0.03, "break off": 0.03}
"""Of all requests: answered with success and no body or a page, and not passed on; passed on, but
answered without a body, with a half of it, or with a half of what its header says."""


@pytest.fixture(scope="module")
def server(
    empty_store: Path, tmp_path_factory: pytest.TempPathFactory, ports: Any
) -> Iterator[str]:
    """Address of a tracking server."""
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder / "mlflow.db")
    port = ports.free()
    command = [
        *(str(Path(sys.executable).parent / "mlflow"), "server", "--workers=1"),
        *("--host=127.0.0.1", f"--port={port}", f"--artifacts-destination={folder / 'files'}"),
        f"--backend-store-uri=sqlite:///{folder / 'mlflow.db'}",
    ]
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder)
    try:
        ports.wait(int(port), process)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(60)


@pytest.fixture
def experiment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of an experiment of the test's own, which runs belong to."""
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", request.node.name)
    return str(request.node.name)


@pytest.fixture(autouse=True)
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the journals."""
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))
    return tmp_path / "journals"


def make_setting() -> Setting:
    n_clips = 80
    labels = np.arange(n_clips) % 4
    values = np.random.default_rng(0).normal(size=(n_clips, 5)) + np.eye(4, 5)[labels]
    clips = Clips(
        name="original-4qaed",
        ids=tuple(f"c{i:03d}" for i in range(n_clips)),
        quadrants=labels,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=(None,) * n_clips,
        features={"top100": FeatureTable(names=tuple("abcde"), values=values)},
    )
    plan = split_plan(clips, n_splits=N_SPLITS, n_repeats=N_REPEATS)
    return resolve_setting(get_method("svm"), clips, plan)


def work(address: str, *, delete_after: int | None = None) -> RunTree:
    """Cross-validate, and delete the parent run after some folds if requested."""
    setting = make_setting()
    examples = assemble(setting.clips, setting.inputs, store=open_store())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", address)
        tree = RunTree(setting, tags={}, source="made")

        def on_fold(done: int, total: int, event: FoldFinished | FoldFailed) -> None:
            if done == delete_after:
                MlflowClient(address).delete_run(tree.run_id)

        tree.on_fold = on_fold
        with tree as runs:
            runs.conclude(validate(setting, examples, executor=InlineExecutor(), listener=runs))
    return tree


def assert_whole(server: str, tree: RunTree) -> None:
    client = MlflowClient(server)
    parent = client.get_run(tree.run_id)
    assert (parent.info.status, parent.data.tags["mer.status"]) == ("FINISHED", "complete")
    assert parent.data.metrics["folds_done"] == N_FOLDS
    names = {each.path for each in client.list_artifacts(tree.run_id)}
    assert {"folds.parquet", "predictions.parquet", "split_plan.parquet"} <= names
    folds = client.search_runs(
        [tree.experiment_id], "tags.`mer.kind` = 'fold'", run_view_type=ViewType.ACTIVE_ONLY
    )
    assert Counter(run.info.status for run in folds) == {"FINISHED": N_FOLDS}
    assert len({run.data.tags["mer.split"] for run in folds}) == N_FOLDS
    assert {run.data.tags["mlflow.parentRunId"] for run in folds} == {tree.run_id}
    (n_metrics,) = {len(run.data.metrics) for run in folds}
    (n_params,) = {len(run.data.params) for run in folds}
    assert n_metrics > 5 and n_params > 3
    for run in folds:
        files = {each.path: each.file_size for each in client.list_artifacts(run.info.run_id)}
        assert files["predictions.csv"] > 0 and files["confusion_matrix.csv"] > 0


@pytest.mark.parametrize(
    "shares",
    [{"empty": 0.05}, {"empty": 0.15}, {"empty": 0.15, "do and empty": 0.15}, BROKEN],
    ids=["5 empty", "15 empty", "30 empty", "15 broken"],
)
@pytest.mark.usefixtures("experiment")
def test_answers_may_be_broken(
    server: str, journals: Path, unreliable: Any, shares: dict[str, float]
) -> None:
    with unreliable(server, seed=8, shares=shares) as (address, counts):
        tree = work(address)
    assert all(counts[name] > 0 for name in shares)
    assert_whole(server, tree)
    assert list(journals.iterdir()) == []


@pytest.mark.usefixtures("experiment")
def test_writes_that_are_never_kept_stay_in_the_journal(
    server: str, journals: Path, unreliable: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy answers uploads as the server does, and passes none on."""
    lost = ["/predictions.csv"]
    with unreliable(server, seed=8, shares={}, swallowed=lost) as (address, counts):
        with monkeypatch.context() as patch:
            patch.setenv("MER_TRACKING_PATIENCE", "5")
            with pytest.raises(UndeliveredError, match=r"lacks 1 of 2 artifacts.*-e sync"):
                work(address)
        assert counts["swallowed"] > 1
        lost.clear()
        (left,) = journals.iterdir()
        journal = Journal(left)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("MLFLOW_TRACKING_URI", address)
            deliver_journal(MlflowClient(), journal)
    parent = MlflowClient(server).get_run(journal.facts[PARENT])
    assert parent.data.tags["mer.status"] == "complete"
    assert list(journals.iterdir()) == []


@pytest.mark.usefixtures("experiment")
def test_deleted_parent_is_followed_by_one_with_its_folds(server: str, journals: Path) -> None:
    with pytest.raises(DeletedError, match="mlflow runs restore --run-id"):
        work(server, delete_after=7)
    forget_process(journals)
    tree = work(server)
    assert (tree.n_adopted, tree.n_run) == (N_FOLDS, 0)
    assert_whole(server, tree)
    assert list(journals.iterdir()) == []


def forget_process(journals: Path) -> None:
    """Let the journals be those of a process that has ended."""
    for path in journals.iterdir():
        with contextlib.closing(Journal(path)) as journal:
            journal._database.execute(
                "UPDATE facts SET value = '999999999' WHERE key = 'mer.process.pid'"
            )
