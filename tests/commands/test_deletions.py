"""Commands on what was deleted: one line that names it and how it is restored, and code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.export import main as export
from mer_mlflow.commands.report import main as report
from mer_mlflow.commands.search import main as search
from mer_mlflow.commands.sync import sync
from mer_mlflow.commands.train import main as train
from mer_mlflow.tracking.delivery import NAME, PARENT, SERVER, server_name
from mer_mlflow.tracking.environment import process_tags
from mer_mlflow.tracking.journal import Close, Create, new_journal

SHORT = ("--method=svm", "--dataset=demo", "--folds=2", "--repeats=1", "--workers=1")
COMMANDS: dict[str, Callable[[], int]] = {
    "train": lambda: train(SHORT),
    "search": lambda: search((*SHORT, "--trials=1")),
    "report": lambda: report(()),
    "report by name": lambda: report(("--experiment=mine",)),
    "export": lambda: export(()),
    "export by name": lambda: export(("--experiment=mine",)),
}


def refused(command: Callable[[], int], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as stop:
        run_command(command)
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.usefixtures("store")
def test_deleted_experiment_is_named(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    key = client.create_experiment("mine")
    client.delete_experiment(key)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    said = refused(COMMANDS[name], capsys)
    assert f"experiment=mine: experiment {key} was deleted" in said
    assert f"`mlflow experiments restore --experiment-id {key}`" in said


@pytest.mark.parametrize("name", ["train", "report"])
@pytest.mark.usefixtures("store")
def test_deleted_run_of_the_command_is_named(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    client.delete_run(run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    said = refused(COMMANDS[name], capsys)
    assert f"run {run_id} was deleted" in said
    assert f"`mlflow runs restore --run-id {run_id}`, and give the same command again" in said


def test_sync_of_a_deleted_run_names_it_and_delivers_the_others(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = store / "journals"
    root.mkdir()
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(root))
    client = MlflowClient()
    parents = []
    for name in ("one", "two"):
        parent = client.create_run("0", tags={"mer.status": "running"}).info.run_id
        server = server_name(client.tracking_uri)
        facts = {SERVER: server, PARENT: parent, NAME: name, **process_tags()}
        journal = new_journal(root / f"{name}.journal", {**facts, "mer.process.pid": "999999999"})
        journal.append(
            Create(run="a", experiment_id="0", name="fold", start_time=1, tags={"of": name}),
            Close(run="a", status="FINISHED", end_time=2, tags={}),
        )
        journal.close()
        parents.append(parent)
    client.delete_run(parents[0])
    assert sync() == 2
    said = capsys.readouterr()
    assert f"`mlflow runs restore --run-id {parents[0]}`" in said.err
    assert f"run {parents[1]} (two): 2 writes delivered" in said.out
    assert [path.name for path in root.iterdir()] == ["one.journal"]
    client.restore_run(parents[0])
    assert sync() == 0
    assert list(root.iterdir()) == []
