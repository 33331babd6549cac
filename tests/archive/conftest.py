"""Experiments as trainings leave them, in stores that are files."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric

NewStore = Callable[[str], MlflowClient]
SECRET = "hunter2"
START_SECONDS = 120.0


@pytest.fixture
def new_store(empty_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> NewStore:
    """Makes a client of a fresh store, named."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_RUN_ID", raising=False)

    def make(name: str) -> MlflowClient:
        shutil.copy(empty_store, tmp_path / f"{name}.db")
        return MlflowClient(tracking_uri=f"sqlite:///{tmp_path / name}.db")

    return make


@pytest.fixture
def origin(new_store: NewStore) -> MlflowClient:
    """A store with an experiment ``study`` that has a run of every kind."""
    client = new_store("origin")
    fill_experiment(client, client.create_experiment("study"))
    return client


def fill_experiment(client: MlflowClient, experiment: str) -> None:
    """Make runs that name each other in every way that the project's runs do."""
    old = add(client, experiment, "svm old", kind="cross-validation", status="superseded")
    parent = add(client, experiment, "svm", kind="cross-validation", status="complete")
    for run_id in (old, parent):
        dataset = Dataset("demo", "abc", "local", '{"uri": "demo"}', profile='{"num_rows": 3}')
        inputs = [DatasetInput(dataset, tags=[InputTag("mlflow.data.context", "training")])]
        client.log_inputs(run_id, inputs)
    client.set_tag(old, "mer.superseded_by", parent)
    folds = [
        add(client, experiment, f"r01-f0{i}", kind="fold", parent=parent, split=f"r01-f0{i}")
        for i in (1, 2)
    ]
    client.set_tag(folds[1], "mer.copied_from", folds[0])
    for step in range(3):
        client.log_batch(folds[0], [Metric("loss", 1 / (step + 3), 1000 + step, step)])
    odd = [math.nan, math.inf, -math.inf, 0.1 + 0.2, 5e-324]
    client.log_batch(folds[1], [Metric("odd", value, 7, i) for i, value in enumerate(odd)])
    duplicate = add(client, experiment, "svm again", kind="cross-validation", status="duplicate")
    client.set_tag(duplicate, "mer.duplicate_of", parent)
    search = add(client, experiment, "search", kind="search", status="complete")
    client.log_param(search, "search.winner", parent)
    client.log_text(search, f'{{"run": "{parent}"}}', "best.json")
    study = add(client, experiment, "study", kind="study", status="complete", failed=True)
    client.log_text(study, f"method,run_id\nsvm,{parent}\n", "items.csv")
    report = add(client, experiment, "report", kind="report")
    page = f"http://127.0.0.1:5000/#/experiments/{experiment}/runs/{parent}"
    client.log_text(report, f'<a href="{page}">{parent[:8]}</a> é', "report.html")
    client.log_text(report, f"{parent} and {'f' * 32}", "tables/λ & co, one.tex")
    client.log_text(report, parent, "figures/plot.bin")
    stranger = client.create_run(experiment, run_name="of no kind")
    client.set_terminated(stranger.info.run_id)


def add(
    client: MlflowClient,
    experiment: str,
    name: str,
    *,
    parent: str = "",
    failed: bool = False,
    ended: bool = True,
    **tags: str,
) -> str:
    """Make a run, with times of its own."""
    own = {f"mer.{key}": value for key, value in tags.items()}
    own |= {"mlflow.user": "Ada"} | ({"mlflow.parentRunId": parent} if parent else {})
    number = len(client.search_runs([experiment])) + 1
    run = client.create_run(experiment, start_time=number * 1000, tags=own, run_name=name)
    run_id = str(run.info.run_id)
    client.log_param(run_id, "hp.C", "8.0")
    client.log_param(run_id, "data.features", "")
    if ended:
        client.set_terminated(run_id, "FAILED" if failed else "FINISHED", number * 1000 + 500)
    return run_id


@pytest.fixture
def server(empty_store: Path, tmp_path: Path) -> Iterator[str]:
    """Address of an MLflow server with a store of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    database = tmp_path / "server.db"
    database.write_bytes(empty_store.read_bytes())
    command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1", "--backend-store-uri", f"sqlite:///{database}"]
    command += ["--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield wait_for(f"http://127.0.0.1:{port}")
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def wait_for(address: str) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        try:
            if requests.get(f"{address}/health", timeout=5).ok:
                return address
        except requests.ConnectionError:
            time.sleep(0.1)
    raise TimeoutError(address)
