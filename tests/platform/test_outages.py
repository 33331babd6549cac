"""Outages of the platform in the middle of a training: it goes on, and nothing is lost or twice."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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
BROKEN = {"empty": 0.03, "page": 0.03, "do and empty": 0.03, "do and cut": 0.03, "break off": 0.03}
"""Of all requests: answered with success and no body or a page, and not passed on; passed on, but
answered without a body, with a half of it, or with a half of what its header says."""
PAGE = b"<html><body>Please sign in.</body></html>"


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
    return {run.data.tags["mer.split"]: run.data.metrics["f1_macro"] for run in folds}


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
    assert "does not take results (no connection): they wait in" in said
    assert "takes results again" in said
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
    assert "f1_macro" in said, "scores are told though they are not delivered"
    assert last.startswith("error: the tracking server has not taken")
    assert f"they wait in {journal}, and `mlflow run . -e sync` delivers them" in last
    platform.start("mlflow")
    synced = platform.work("sync")
    assert synced.returncode == 0, synced.stderr
    assert "writes delivered" in synced.stdout
    assert_whole(platform, client, "stayed away", uninterrupted)
    again = platform.work("sync")
    assert again.returncode == 0
    assert "nothing waits" in again.stdout


class Faults:
    """What happened to the requests that went through a proxy."""

    def __init__(self, *, seed: int, shares: Mapping[str, float]) -> None:
        self.counts: Counter[str] = Counter()
        self._shares = shares
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    def draw(self) -> str:
        with self._lock:
            names, weights = list(self._shares), list(self._shares.values())
            names, weights = [*names, "pass"], [*weights, 1 - sum(weights)]
            (name,) = self._random.choices(names, weights)
            self.counts[name] += 1
            return name


@contextmanager
def unreliable_proxy(address: str, faults: Faults) -> Iterator[str]:
    """An address from which requests reach the server, but for the faults."""
    target = address.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def pass_on(self) -> None:
            fault = faults.draw()
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if fault == "refuse":
                return self.answer(500, {}, b"")
            if fault in ("empty", "page"):
                return self.answer(200, {}, PAGE if fault == "page" else b"")
            status, headers, content = forward(target, self.command, self.path, self.headers, body)
            if fault == "do and fail":
                return self.answer(500, {}, b"")
            if fault == "do and be late":
                time.sleep(2 * ANSWER_SECONDS)
            if fault in ("do and be late", "do and hang up"):
                self.close_connection = True
                return None
            if fault == "do and empty":
                return self.answer(200, {}, b"")
            if fault == "do and cut":
                return self.answer(status, headers, content[: len(content) // 2])
            if fault == "break off":
                self.close_connection = True
                return self.answer(status, headers, content, n_sent=len(content) // 2)
            return self.answer(status, headers, content)

        def answer(
            self, status: int, headers: dict[str, str], content: bytes, n_sent: int | None = None
        ) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[:n_sent])

        def log_message(self, *words: Any) -> None:
            pass

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = pass_on

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def forward(
    target: str, method: str, path: str, headers: Any, body: bytes
) -> tuple[int, dict[str, str], bytes]:
    connection = http.client.HTTPConnection(target, timeout=60)
    own = {"host", "connection", "content-length", "transfer-encoding"}
    given = {name: value for name, value in headers.items() if name.lower() not in own}
    connection.request(method, path, body=body, headers=given)
    answer = connection.getresponse()
    content = answer.read()
    kept = {name: value for name, value in answer.getheaders() if name.lower() not in own}
    connection.close()
    return answer.status, kept, content


def test_requests_may_fail_in_every_way(
    platform: Any, client: MlflowClient, uninterrupted: str
) -> None:
    faults = Faults(seed=7, shares=SHARES)
    with unreliable_proxy(platform.here("http://mlflow:5000"), faults) as address:
        done = platform.work(
            *SHORT,
            MLFLOW_EXPERIMENT_NAME="requests failed",
            MLFLOW_TRACKING_URI=address,
            MLFLOW_HTTP_REQUEST_TIMEOUT=str(int(ANSWER_SECONDS)),
        )
    print(dict(faults.counts))
    assert done.returncode == 0, done.stderr
    assert all(faults.counts[name] > 0 for name in SHARES)
    assert_whole(platform, client, "requests failed", uninterrupted, n_folds=N_FOLDS_SHORT)


@pytest.mark.parametrize(
    "shares",
    [{"empty": 0.05}, {"empty": 0.15}, {"empty": 0.15, "do and empty": 0.15}, BROKEN],
    ids=["5 % empty", "15 % empty", "30 % empty", "15 % broken"],
)
def test_answers_may_be_broken(
    platform: Any, client: MlflowClient, uninterrupted: str, shares: dict[str, float]
) -> None:
    faults = Faults(seed=8, shares=shares)
    experiment = f"broken {len(shares)} {sum(shares.values()):.2f}"
    with unreliable_proxy(platform.here("http://mlflow:5000"), faults) as address:
        done = platform.work(
            *SHORT, "--repeats=2", MLFLOW_EXPERIMENT_NAME=experiment, MLFLOW_TRACKING_URI=address
        )
    print(dict(faults.counts))
    assert done.returncode == 0, done.stderr
    assert all(faults.counts[name] > 0 for name in shares)
    assert_whole(platform, client, experiment, uninterrupted, n_folds=2 * N_FOLDS_SHORT)


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
