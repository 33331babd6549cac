"""Outages of the platform in the middle of a training: it goes on, and nothing is lost or twice."""

from __future__ import annotations

import os
import time
from collections import Counter
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

pytestmark = pytest.mark.platform

SHORT = ("train", "--method=svm", "--dataset=demo", "--folds=10", "--repeats=1", "--workers=1")
TRAIN = (*SHORT, "--repeats=4")
N_FOLDS, N_FOLDS_SHORT = 40, 10
OUTAGE_SECONDS = float(os.environ.get("MER_FAULT_OUTAGE", "5"))
ANSWER_SECONDS = 2.0
SHARES = {"refuse": 0.06, "do and fail": 0.05, "do and hang up": 0.04, "do and be late": 0.02}
"""Of all requests: answered by a 500 and not passed on; passed on, but answered by a 500, by
nothing, or when the client has stopped waiting."""


@pytest.fixture
def client(platform: Any, monkeypatch: pytest.MonkeyPatch) -> MlflowClient:
    for name in ("MLFLOW_TRACKING_URI", "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
        monkeypatch.setenv(name, platform.environment("worker")[name])
    return MlflowClient()


@pytest.fixture(scope="module")
def uninterrupted(platform: Any) -> str:
    done = platform.work(*TRAIN, MLFLOW_EXPERIMENT_NAME="uninterrupted")
    assert done.returncode == 0, done.stderr
    return "uninterrupted"


def runs_of(client: MlflowClient, experiment: str, condition: str) -> list[Run]:
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    return list(client.search_runs([found.experiment_id], condition, max_results=1000))


def await_folds(client: MlflowClient, experiment: str, n_folds: int) -> None:
    """Wait until so many folds are on the server."""
    end = time.monotonic() + 120
    finished = "tags.`mer.kind` = 'fold' and status = 'FINISHED'"
    while len(runs_of(client, experiment, finished)) < n_folds:
        assert time.monotonic() < end
        time.sleep(0.1)


def scores_of(client: MlflowClient, experiment: str) -> dict[str, float]:
    folds = runs_of(client, experiment, "tags.`mer.kind` = 'fold'")
    return {run.data.tags["mer.split"]: run.data.metrics["f1/macro"] for run in folds}


def assert_whole(
    platform: Any, client: MlflowClient, experiment: str, reference: str, n_folds: int = N_FOLDS
) -> None:
    (parent,) = runs_of(client, experiment, "tags.`mer.kind` = 'cross-validation'")
    assert parent.data.tags["mer.status"] == "complete"
    assert parent.info.status == "FINISHED"
    folds = runs_of(client, experiment, "tags.`mer.kind` = 'fold'")
    assert Counter(run.info.status for run in folds) == {"FINISHED": n_folds}
    assert len({run.data.tags["mer.split"] for run in folds}) == n_folds
    for run in folds:
        names = {each.path for each in client.list_artifacts(run.info.run_id)}
        assert {"predictions.csv", "confusion_matrix.csv"} <= names
    assert scores_of(client, experiment).items() <= scores_of(client, reference).items()
    assert list((platform.folder / "journals").iterdir()) == []


def finish(worker: Any) -> str:
    said, _ = worker.communicate(timeout=600)
    assert worker.returncode == 0, said
    return str(said)


def test_server_may_stop_in_mid_run(
    platform: Any, client: MlflowClient, uninterrupted: str
) -> None:
    worker = platform.begin_work(*TRAIN, MLFLOW_EXPERIMENT_NAME="server stopped")
    await_folds(client, "server stopped", 3)
    platform.kill("mlflow")
    time.sleep(OUTAGE_SECONDS)
    platform.start("mlflow")
    said = finish(worker)
    assert "does not accept results (no connection): they are kept in" in said
    assert "accepts results again" in said
    assert_whole(platform, client, "server stopped", uninterrupted)


def test_database_may_restart_in_mid_run(
    platform: Any, client: MlflowClient, uninterrupted: str
) -> None:
    worker = platform.begin_work(*TRAIN, MLFLOW_EXPERIMENT_NAME="database restarted")
    await_folds(client, "database restarted", 3)
    platform.database.stop()
    time.sleep(OUTAGE_SECONDS / 2)
    platform.database.ensure_postgres_running()
    finish(worker)
    assert_whole(platform, client, "database restarted", uninterrupted)


def test_server_that_stays_away_leaves_a_journal_to_deliver(
    platform: Any, client: MlflowClient, uninterrupted: str
) -> None:
    worker = platform.begin_work(
        *TRAIN, MLFLOW_EXPERIMENT_NAME="stayed away", MER_TRACKING_PATIENCE="3"
    )
    await_folds(client, "stayed away", 3)
    platform.kill("mlflow")
    said, _ = worker.communicate(timeout=600)
    assert worker.returncode == 3, said
    (journal,) = (platform.folder / "journals").iterdir()
    last = said.splitlines()[-1]
    assert "f1_macro" in said, "scores are printed though they are not delivered"
    assert last.startswith("error: the tracking server has not accepted")
    assert f"they are kept in {journal}, and `mlflow run . -e sync` delivers them" in last
    platform.start("mlflow")
    synced = platform.work("sync")
    assert synced.returncode == 0, synced.stderr
    assert "writes delivered" in synced.stdout
    assert_whole(platform, client, "stayed away", uninterrupted)
    again = platform.work("sync")
    assert again.returncode == 0
    assert "nothing to deliver" in again.stdout


def test_requests_may_fail_in_every_way(
    platform: Any, client: MlflowClient, uninterrupted: str, unreliable: Any
) -> None:
    late = 2 * ANSWER_SECONDS
    server = platform.here("http://mlflow:5000")
    with unreliable(server, seed=7, shares=SHARES, late=late) as (address, counts):
        done = platform.work(
            *SHORT,
            MLFLOW_EXPERIMENT_NAME="requests failed",
            MLFLOW_TRACKING_URI=address,
            MLFLOW_HTTP_REQUEST_TIMEOUT=str(int(ANSWER_SECONDS)),
        )
    print(dict(counts))
    assert done.returncode == 0, done.stderr
    assert all(counts[name] > 0 for name in SHARES)
    assert_whole(platform, client, "requests failed", uninterrupted, n_folds=N_FOLDS_SHORT)


def test_parent_may_be_deleted_in_mid_run(
    platform: Any, client: MlflowClient, uninterrupted: str
) -> None:
    experiment = "parent deleted"
    worker = platform.begin_work(*TRAIN, MLFLOW_EXPERIMENT_NAME=experiment)
    await_folds(client, experiment, 3)
    (parent,) = runs_of(client, experiment, "tags.`mer.kind` = 'cross-validation'")
    client.delete_run(parent.info.run_id)
    said, _ = worker.communicate(timeout=600)
    assert worker.returncode == 2, said
    assert f"mlflow runs restore --run-id {parent.info.run_id}" in said
    synced = platform.work("sync")
    assert synced.returncode == 2
    assert f"mlflow runs restore --run-id {parent.info.run_id}" in synced.stderr
    again = platform.work(*TRAIN, MLFLOW_EXPERIMENT_NAME=experiment)
    assert again.returncode == 0, again.stderr
    assert f"{N_FOLDS} folds were already done" in again.stdout
    assert_whole(platform, client, experiment, uninterrupted)


def test_experiment_may_be_deleted_in_mid_run(
    platform: Any, client: MlflowClient, uninterrupted: str
) -> None:
    experiment = "experiment deleted"
    worker = platform.begin_work(*TRAIN, MLFLOW_EXPERIMENT_NAME=experiment)
    await_folds(client, experiment, 3)
    found = client.get_experiment_by_name(experiment)
    assert found is not None
    client.delete_experiment(found.experiment_id)
    said, _ = worker.communicate(timeout=600)
    restore = f"mlflow experiments restore --experiment-id {found.experiment_id}"
    assert worker.returncode == 2, said
    assert restore in said
    for command in (TRAIN, ("sync",), ("report", f"--experiment={experiment}")):
        refused = platform.work(*command, MLFLOW_EXPERIMENT_NAME=experiment)
        assert refused.returncode == 2
        assert restore in refused.stderr
        assert "Traceback" not in refused.stderr
    client.restore_experiment(found.experiment_id)
    synced = platform.work("sync")
    assert synced.returncode == 0, synced.stderr
    assert_whole(platform, client, experiment, uninterrupted)
