"""Presence: runs of killed processes are closed, and those of processes at work never are."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mer_mlflow.tracking import (
    Kind,
    Status,
    active_run,
    close_abandoned,
    describe_abandoned,
    heartbeat,
)
from mer_mlflow.tracking.environment import process_tags

pytestmark = pytest.mark.usefixtures("store")
DEAD = {"mer.process.pid": "999999999"}
ELSEWHERE = {"mer.process.host": "elsewhere"}
SILENT = {"mer.process.heartbeat": "0"}


def make_run(kind: Kind, *changes: dict[str, str], study: str = "made", **tags: str) -> str:
    """A run at work, of this process but for the changes of its tags."""
    own = {"mer.kind": str(kind), "mer.study": study, **process_tags(), **tags}
    for each in changes:
        own |= each
    return str(MlflowClient().create_run("0", tags=own).info.run_id)


def status(run_id: str) -> str:
    return str(MlflowClient().get_run(run_id).info.status)


def close(kind: Kind = Kind.SEARCH, *, but: str = "") -> None:
    close_abandoned(MlflowClient(), "0", kind=kind, but=but, study="made")


@pytest.mark.parametrize("changes", [(DEAD,), (ELSEWHERE, SILENT)])
def test_run_of_a_dead_process_is_closed(changes: tuple[dict[str, str], ...]) -> None:
    run_id = make_run(Kind.SEARCH, *changes)
    close()
    assert status(run_id) == "KILLED"


@pytest.mark.parametrize("changes", [(), (ELSEWHERE,), (ELSEWHERE, DEAD)])
def test_run_of_a_living_process_is_left_alone(changes: tuple[dict[str, str], ...]) -> None:
    run_id = make_run(Kind.SEARCH, *changes)
    close()
    assert status(run_id) == "RUNNING"


def test_other_runs_are_left_alone() -> None:
    client = MlflowClient()
    others = [
        make_run(Kind.SEARCH, DEAD, study="other"),
        make_run(Kind.PREPARE, DEAD),
        str(client.create_run("0", tags={"mer.kind": "search", "mer.study": "made"}).info.run_id),
    ]
    own = make_run(Kind.SEARCH, DEAD)
    close(but=own)
    assert {status(run_id) for run_id in [*others, own]} == {"RUNNING"}


def test_folds_of_a_dead_trial_are_closed_with_it() -> None:
    client = MlflowClient()
    parents = [
        make_run(Kind.PARENT, changes, **{"mer.status": "running"}) for changes in (DEAD, {})
    ]
    folds = [
        client.create_run("0", tags={"mer.kind": "fold", "mlflow.parentRunId": parent})
        for parent in parents
    ]
    close(Kind.PARENT)
    assert [status(run_id) for run_id in parents] == ["KILLED", "RUNNING"]
    assert [status(fold.info.run_id) for fold in folds] == ["KILLED", "RUNNING"]
    tags = [client.get_run(run_id).data.tags["mer.status"] for run_id in parents]
    assert tags == [Status.INTERRUPTED, Status.RUNNING]


def test_runs_left_by_dead_processes_are_named() -> None:
    run_id = make_run(Kind.SEARCH, DEAD)
    make_run(Kind.SEARCH)
    (words,) = describe_abandoned(MlflowClient(), "0")
    assert run_id in words and "process 999999999" in words
    close()
    assert describe_abandoned(MlflowClient(), "0") == []


def test_signs_of_life_are_given_while_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mer_mlflow.tracking.presence.HEARTBEAT_SECONDS", 0.05)
    client = MlflowClient()
    run_id = str(client.create_run("0").info.run_id)

    def beats() -> str:
        return str(client.get_run(run_id).data.tags["mer.process.heartbeat"])

    with heartbeat(client, run_id, kind=Kind.STUDY, plan="made"):
        first, end = beats(), time.monotonic() + 20
        while beats() == first and time.monotonic() < end:
            time.sleep(0.05)
        assert beats() != first
        assert client.get_run(run_id).data.tags["mer.plan"] == "made"
    last = beats()
    time.sleep(0.3)
    assert beats() == last


def test_run_whose_work_ends_with_an_error_is_closed(store: Path) -> None:
    client = MlflowClient()
    run_id = str(client.create_run("0").info.run_id)
    with (
        pytest.raises(KeyboardInterrupt),
        active_run(client, run_id, kind=Kind.PREPARE),
    ):
        raise KeyboardInterrupt
    assert status(run_id) == "FAILED"
