"""sync: what waits is delivered; what cannot be is said."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.parameters import SYNC
from mer_mlflow.commands.sync import sync
from mer_mlflow.experiments.text import parse
from mer_mlflow.tracking.delivery import NAME, PARENT, SERVER, server_name
from mer_mlflow.tracking.environment import process_tags
from mer_mlflow.tracking.journal import Close, Create, Journal, new_journal

DEAD = {**process_tags(), "mer.process.pid": "999999999"}


@pytest.fixture
def root(store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(store / "journals"))
    (store / "journals").mkdir()
    return store / "journals"


def leave_journal(root: Path, name: str, *, server: str | None = None) -> tuple[str, Path]:
    """A journal with two writes; id of the parent, and the file."""
    client = MlflowClient()
    parent = client.create_run("0", tags={"mer.status": "running"}).info.run_id
    facts = {
        SERVER: server or server_name(client.tracking_uri),
        PARENT: parent,
        NAME: f"svm demo {name}",
        **DEAD,
    }
    journal = new_journal(root / f"{name}.journal", facts)
    tags = {"mlflow.parentRunId": parent}
    journal.append(
        Create(run="a", experiment_id="0", name="fold", start_time=1, tags=tags),
        Close(run="a", status="FINISHED", end_time=2, tags={}),
    )
    journal.close()
    return parent, journal.path


def children(parent: str) -> list[str]:
    found = MlflowClient().search_runs(["0"], f"tags.`mlflow.parentRunId` = '{parent}'")
    return [run.info.status for run in found]


def test_everything_that_waits_is_delivered_once(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parents = [leave_journal(root, name)[0] for name in ("one", "two")]
    assert sync() == 0
    said = capsys.readouterr().out
    for parent, name in zip(parents, ("one", "two"), strict=True):
        assert f"run {parent} (svm demo {name}): 2 writes delivered" in said
        assert children(parent) == ["FINISHED"]
        assert MlflowClient().get_run(parent).data.tags["mer.status"] == "interrupted"
    assert list(root.iterdir()) == []
    assert sync() == 0
    assert f"nothing to deliver in {root}" in capsys.readouterr().out
    assert [children(parent) for parent in parents] == [["FINISHED"], ["FINISHED"]]


def test_journal_of_another_server_waits_until_it_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, path = leave_journal(root, "one", server="http://elsewhere:5000")
    assert sync() == 3
    said = capsys.readouterr().out
    assert "2 writes are to be delivered to http://elsewhere:5000" in said
    assert f"journal={path}" in said
    assert children(parent) == []
    assert sync(journal=str(path)) == 0
    assert children(parent) == ["FINISHED"]


def test_journal_of_a_process_at_work_is_left_alone(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parent, path = leave_journal(root, "one")
    held = Journal(path)
    assert sync() == 0
    assert "still running" in capsys.readouterr().out
    assert children(parent) == []
    held.close()


def test_damaged_journal_does_not_stop_the_others(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "bad.journal").write_bytes(b"bad" * 1000)
    parent, _ = leave_journal(root, "one")
    assert sync() == 3
    assert "bad.journal cannot be read" in capsys.readouterr().err
    assert children(parent) == ["FINISHED"]


def test_refused_journal_says_why_and_stays(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, path = leave_journal(root, "one")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{root.parent / 'other.db'}")
    assert sync(journal=str(path)) == 3
    assert f"the tracking server rejects {path}" in capsys.readouterr().err
    assert path.exists()


def test_missing_file_is_one_line(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: sync(**parse(SYNC, ["--journal=nowhere.journal"])))
    assert stop.value.code == 2
    assert capsys.readouterr().err == "error: nowhere.journal: no such journal\n"
