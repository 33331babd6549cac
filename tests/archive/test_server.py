"""Through a server: into it, and out of it again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient

from .conftest import NewStore
from .test_moving import arrived, moved, state

START_SECONDS = 120.0


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


def test_everything_arrives_through_a_server_and_comes_back(
    origin: MlflowClient, new_store: NewStore, server: str, tmp_path: Path
) -> None:
    remote = MlflowClient(tracking_uri=server)
    moved(origin, tmp_path / "there.zip")
    assert arrived(remote, tmp_path / "there.zip").n_new == 8
    before = state(origin, tmp_path / "a")
    assert state(remote, tmp_path / "b") == before
    moved(remote, tmp_path / "back.zip")
    target = new_store("target")
    assert arrived(target, tmp_path / "back.zip").n_new == 8
    assert state(target, tmp_path / "c") == before
    assert arrived(origin, tmp_path / "back.zip").n_known == 8
