"""export and import as users type them: what is trained here is complete there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.export import main as export
from mer_mlflow.commands.import_ import main as import_
from mer_mlflow.commands.report import report
from mer_mlflow.commands.train import train
from mer_mlflow.crossval.executors import FoldFailed, FoldFinished
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments import Experiment
from mer_mlflow.tracking import RunTree

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
Elsewhere = Callable[[], None]


@pytest.fixture
def elsewhere(store: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """Goes to another store, which knows nothing of the first one."""

    def go() -> None:
        shutil.copy(empty_store, store / "other.db")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'other.db'}")

    return go


def parents(name: str = "Default") -> list[Run]:
    client = MlflowClient()
    home = client.get_experiment_by_name(name).experiment_id
    return list(client.search_runs([home], "tags.`mer.kind` = 'cross-validation'"))


def test_report_elsewhere_is_the_same_and_nothing_is_trained_again(
    store: Path, demo: Clips, elsewhere: Elsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    train(Experiment(dataset="demo", folds=2, duration=2.0, workers=0))
    report(output="here")
    assert export(["--archive=study.zip"]) == 0
    said = capsys.readouterr().out
    assert "1 cross-validation, 1 report, 2 fold" in said
    assert "mlflow run . -e import -P archive=study.zip" in said
    elsewhere()
    assert import_(["--archive=study.zip"]) == 0
    assert "4 runs are now in experiment Default" in capsys.readouterr().out
    report(output="there")
    ids = {run.data.tags["mer.imported_from"]: run.info.run_id for run in parents()}
    tables = sorted(path.name for path in (store / "here" / "tables").glob("*.csv"))
    assert tables
    for name in tables:
        before = (store / "here" / "tables" / name).read_text()
        for old, new in ids.items():
            before = before.replace(old, new).replace(old[:8], new[:8])
        assert (store / "there" / "tables" / name).read_text() == before
    train(Experiment(dataset="demo", folds=2, duration=2.0, workers=0))
    assert sorted(run.data.tags["mer.status"] for run in parents()) == ["complete", "duplicate"]
    capsys.readouterr()
    assert import_(["--archive=study.zip"]) == 0
    assert "nothing was changed: experiment Default has all" in capsys.readouterr().out


def test_interrupted_training_is_continued_elsewhere(
    store: Path,
    demo: Clips,
    elsewhere: Elsewhere,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted = RunTree.on_event

    def interrupted(self: RunTree, event: FoldFinished | FoldFailed) -> None:
        counted(self, event)
        if isinstance(event, FoldFinished) and self.n_run == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(RunTree, "on_event", interrupted)
        train(Experiment(dataset="demo", folds=4, duration=2.0, workers=0))
    (first,) = parents()
    assert first.data.tags["mer.status"] == "interrupted"
    export(["--archive=study.zip"])
    elsewhere()
    import_(["--archive=study.zip", "--experiment=moved"])
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "moved")
    train(Experiment(dataset="demo", folds=4, duration=2.0, workers=0))
    found = {run.data.tags["mer.status"]: run for run in parents("moved")}
    assert found.keys() == {"superseded", "complete"}
    assert found["superseded"].data.tags["mer.superseded_by"] == found["complete"].info.run_id
    folds = MlflowClient().search_runs(
        [found["complete"].info.experiment_id],
        f"tags.`mlflow.parentRunId` = '{found['complete'].info.run_id}'",
    )
    assert len(folds) == 4
    assert sum("mer.imported_from" in run.data.tags for run in folds) == 2


def test_unfinished_runs_are_told_of(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    client = MlflowClient()
    parent = client.create_run("0", tags={"mer.kind": "cross-validation", "mer.status": "running"})
    tags = {"mer.kind": "fold", "mlflow.parentRunId": parent.info.run_id}
    client.set_terminated(client.create_run("0", tags=tags).info.run_id)
    client.create_run("0", tags=tags)
    assert export([]) == 0
    said = capsys.readouterr().out
    assert "not finished: 1 cross-validation; exported as interrupted" in said
    assert "not finished: 1 fold; left out" in said
    assert (store / "Default.zip").is_file()


def test_mlflow_run_exports_its_own_experiment(store: Path) -> None:
    client = MlflowClient()
    home = client.create_experiment("my study/1")
    run = client.create_run(home, tags={"mer.kind": "prepare"}, run_name="prepare demo")
    client.log_text(run.info.run_id, "fine", "dataset.txt")
    client.set_terminated(run.info.run_id)
    archive = f"archive={store / 'it is.zip'}"
    mlflow_run("-e", "export", "-P", archive, "--experiment-name", "my study/1")
    assert import_([f"--{archive}", "--experiment=new"]) == 0
    (moved,) = client.search_runs([client.get_experiment_by_name("new").experiment_id])
    assert moved.data.tags["mer.imported_from"] == run.info.run_id
    assert Path(client.download_artifacts(moved.info.run_id, "dataset.txt")).read_text() == "fine"
    (command,) = (
        found for found in client.search_runs([home]) if found.info.run_id != run.info.run_id
    )
    assert (command.info.run_name, command.info.status) == ("export it is.zip", "FINISHED")


def mlflow_run(*arguments: str) -> None:
    done = subprocess.run(
        ["mlflow", "run", ".", "--env-manager", "local", *arguments],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("main", "arguments", "words"),
    [
        (export, ["--experiment=mine"], "experiment=mine: no such experiment (there are: Default)"),
        (export, ["--archive=mlflow.db"], "archive=mlflow.db: exists already"),
        (export, ["--archive=no/where.zip"], "archive=no/where.zip: folder no does not exist"),
        (export, ["--archive=a\nb"], "archive='a\\nb': has characters"),
        (export, ["--experiment=a\nb"], "experiment='a\\nb': has characters"),
        (export, [], "experiment=Default: has no finished runs of this project"),
        (import_, [], "archive: is required"),
        (import_, ["--archive=no.zip"], "archive=no.zip: no such file"),
        (import_, ["--archive=mlflow.db"], "archive=mlflow.db: it is not an archive"),
        (import_, ["--archive=a.zip", "--experiment=a\nb"], "experiment='a\\nb': has characters"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    main: Callable[[list[str]], int],
    arguments: list[str],
    words: str,
    store: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    before = sorted(store.iterdir())
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(arguments))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in said
    assert said.count("\n") == 1
    client = MlflowClient()
    assert [item.name for item in client.search_experiments()] == ["Default"]
    assert not client.search_runs(["0"])
    assert sorted(store.iterdir()) == before


def test_store_that_is_not_there_is_not_made(
    store: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / 'nowhere.db'}")
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: export([]))
    assert stop.value.code == 2
    assert "there is no tracking store" in capsys.readouterr().err
    assert not (store / "nowhere.db").exists()
