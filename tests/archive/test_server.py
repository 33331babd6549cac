"""Through a server: into it, and out of it again."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient

from .conftest import NewStore
from .test_moving import arrived, moved, state


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
