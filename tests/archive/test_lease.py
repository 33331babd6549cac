"""One import at a time: at most one is ever at work, and a dead one stops nobody."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mer_mlflow.archive import lease as module
from mer_mlflow.archive.lease import lease
from mer_mlflow.errors import RunInProgressError
from mer_mlflow.tracking.environment import process_tags
from mer_mlflow.tracking.schema import IMPORTING

from .conftest import NewStore
from .test_moving import arrived, home, moved, runs_of, state


def claims(client: MlflowClient, experiment: str) -> list[str]:
    return [key for key in client.get_experiment(experiment).tags if key.startswith(IMPORTING)]


def test_second_one_is_told_who_is_at_work(new_store: NewStore) -> None:
    client = new_store("target")
    process = process_tags()["mer.process.pid"]
    words = f"another import into this experiment is running .*process {process}"
    with lease(client, "0"):
        with pytest.raises(RunInProgressError, match=words), lease(client, "0"):
            pass
        assert len(claims(client, "0")) == 1
    assert not claims(client, "0")
    with lease(client, "0"):
        pass


@pytest.mark.parametrize(
    "changes",
    [{"mer.process.started": "1"}, {"mer.process.host": "elsewhere", "mer.process.heartbeat": "1"}],
)
def test_dead_one_stops_nobody(new_store: NewStore, changes: dict[str, str]) -> None:
    client = new_store("target")
    client.set_experiment_tag("0", f"{IMPORTING}dead", json.dumps(process_tags() | changes))
    with lease(client, "0"):
        assert f"{IMPORTING}dead" not in claims(client, "0")


def test_earlier_one_waits_for_a_later_one_to_give_way(
    new_store: NewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = new_store("target")
    later = process_tags() | {"mer.process.announced": str(time.time() + 100)}
    client.set_experiment_tag("0", f"{IMPORTING}later", json.dumps(later))
    thread = threading.Timer(0.5, client.delete_experiment_tag, ("0", f"{IMPORTING}later"))
    thread.start()
    with lease(client, "0"):
        assert len(claims(client, "0")) == 1
    thread.join()
    client.set_experiment_tag("0", f"{IMPORTING}later", json.dumps(later))
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.2)
    with pytest.raises(RunInProgressError), lease(client, "0"):
        pass
    assert claims(client, "0") == [f"{IMPORTING}later"]


def test_it_tells_that_it_lives(new_store: NewStore, monkeypatch: pytest.MonkeyPatch) -> None:
    client = new_store("target")
    monkeypatch.setattr(module, "HEARTBEAT_SECONDS", 0.05)

    def heartbeat() -> str:
        (key,) = claims(client, "0")
        return str(json.loads(client.get_experiment("0").tags[key])["mer.process.heartbeat"])

    with lease(client, "0"):
        first, end = heartbeat(), time.monotonic() + 20
        while heartbeat() == first:
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.mark.parametrize("delay", [0.0, 0.05])
def test_two_imports_at_once_make_every_run_once(
    origin: MlflowClient, new_store: NewStore, tmp_path: Path, delay: float
) -> None:
    moved(origin, tmp_path / "study.zip")
    target = new_store("target")
    target.create_experiment("study")
    failures: list[BaseException] = []

    def work(pause: float) -> None:
        time.sleep(pause)
        try:
            arrived(MlflowClient(tracking_uri=target.tracking_uri), tmp_path / "study.zip")
        except RunInProgressError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(pause,)) for pause in (0.0, delay)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(failures) < 2
    assert len(runs_of(target)) == 8
    assert state(target, tmp_path / "b") == state(origin, tmp_path / "a")
    assert not claims(target, home(target))
