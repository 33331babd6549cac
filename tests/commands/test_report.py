"""report: prints, writes and logs the comparison of experiments."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.ranking import requested_experiments
from mer_mlflow.commands.report import main, report
from mer_mlflow.commands.study import study
from mer_mlflow.commands.train import train
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments import Experiment
from mer_mlflow.tracking.environment import process_tags

TRAINED = {"Default": (1.0, 8.0), "other": (4.0,)}
"""Penalties of the SVMs of each experiment."""


@pytest.fixture(scope="module")
def trained_store(demo: Clips, empty_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "mlflow.db"
    shutil.copy(empty_store, path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{path}")
        patch.delenv("MLFLOW_RUN_ID", raising=False)
        for name, penalties in TRAINED.items():
            patch.setenv("MLFLOW_EXPERIMENT_NAME", name)
            for penalty in penalties:
                chosen = {"C": penalty}
                train(Experiment(dataset="demo", folds=3, workers=0, hyperparameters=chosen))
    return path


@pytest.fixture
def trained(trained_store: Path, store: Path) -> Path:
    """Folder with a store that has trained methods in two experiments."""
    with (
        closing(sqlite3.connect(trained_store)) as source,
        closing(sqlite3.connect(store / "mlflow.db")) as target,
    ):
        source.backup(target)
    return store


@pytest.mark.parametrize("chosen", ["a,b: c", "Default", "Default,other", "a,b: c "])
def test_name_of_an_experiment_may_have_commas(trained: Path, chosen: str) -> None:
    client = MlflowClient()
    other = client.create_experiment("a,b: c")
    found = requested_experiments(client, chosen)
    assert len(found) == (2 if chosen == "Default,other" else 1)
    assert (found == [other]) == chosen.startswith("a,b")


def test_trained_methods_are_compared(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert report() == 0
    assert "C=1.0" in capsys.readouterr().out
    ranking = pd.read_csv(trained / "reports" / "tables" / "ranking-1.csv")
    common = "SVM, quick profile, 1 x 3 folds, 10 s, extracted features"
    assert sorted(ranking["methodology"]) == [common, f"{common}, C=1.0"]
    hardest = pd.read_csv(trained / "reports" / "tables" / "hardest-1.csv")
    assert hardest["artist"].str.len().min() > 1
    client = MlflowClient()
    (run,) = client.search_runs(["0"], "tags.`mer.kind` = 'report'")
    assert run.info.status == "FINISHED"
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"report.html", "report.md", "report.tex", "tables", "figures"}
    logged = Path(client.download_artifacts(run.info.run_id, "report.html")).read_bytes()
    assert logged == (trained / "reports" / "report.html").read_bytes()


def test_second_report_replaces_the_first_and_leaves_other_files(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained / "mine"
    assert main([f"--output={folder}"]) == 0
    for name in ("notes.txt", "tables/old.csv", "figures/photo.png"):
        (folder / name).write_text("mine")
    assert main([f"--output={folder}", "--methods=cnn"]) == 0
    for name in ("notes.txt", "tables/old.csv", "figures/photo.png"):
        assert (folder / name).read_text() == "mine"
    assert not (folder / "tables" / "ranking-1.csv").exists()
    assert sorted(path.name for path in folder.iterdir()) == [
        ".mer_report.json",
        "figures",
        "notes.txt",
        "report.html",
        "report.md",
        "report.tex",
        "tables",
    ]


def test_report_of_a_version_without_a_list_is_moved_and_others_files_stay(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report() == 0
    folder = trained / "reports"
    before = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".mer_report.json"
    }
    (folder / ".mer_report.json").unlink()
    (folder / "tables" / "mine.csv").write_text("mine")
    assert report() == 0
    assert f"files of an earlier version were moved to {Path('reports/earlier')}" in (
        capsys.readouterr().out
    )
    assert (folder / "tables" / "mine.csv").read_text() == "mine"
    for name, content in before.items():
        assert (folder / "earlier" / name).read_bytes() == content
        assert (folder / name).exists()
    assert report() == 0
    assert not (folder / "earlier-2").exists()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda folder: (folder / "report.md").write_text("mine"),
            "report.md is there already; move it away",
        ),
        (lambda folder: (folder / "report.html").mkdir(), "report.html is a folder"),
        (lambda folder: (folder / "figures").write_text("mine"), "figures is a file"),
        (lambda folder: (folder / "figures").symlink_to(folder.parent), "figures is a link"),
        (lambda folder: (folder / "tables").symlink_to("nowhere"), "tables is a link"),
        (lambda folder: (folder / "report.tex").symlink_to("nowhere"), "report.tex is a link"),
    ],
)
def test_what_is_in_the_way_is_named_and_stays(
    make: Callable[[Path], object],
    words: str,
    store: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = store / "mine"
    folder.mkdir()
    make(folder)
    before = sorted(folder.rglob("*"))
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main([f"--output={folder}"]))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert f"output={folder}: {words}" in said
    assert said.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
    assert all(run.info.status == "FAILED" for run in MlflowClient().search_runs(["0"]))


def test_several_experiments_are_read_by_name_and_links_lead_where_asked(trained: Path) -> None:
    arguments = ["--experiment=Default, other", "--pages=https://tracking.example/"]
    assert main(arguments) == 0
    page = (trained / "reports" / "report.html").read_text()
    assert "C=1.0" in page
    assert "C=4.0" in page
    assert "https://tracking.example/#/experiments/" in page
    assert main(["--experiment=all", "--output=all"]) == 0
    assert len(pd.read_csv(trained / "all" / "tables" / "ranking-1.csv")) == 3


def test_experiment_without_runs_says_what_to_do(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report() == 0
    assert "run `mlflow run . -e train` first" in capsys.readouterr().out


def test_one_table_is_printed_and_nothing_is_written(
    trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--format=csv"]) == 0
    printed = pd.read_csv(io.StringIO(capsys.readouterr().out))
    assert main(["--format=json", "--table=ranking-1"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["methodology"]["text"] for row in rows] == list(printed["methodology"])
    assert [row["F1"]["value"] for row in rows] == list(printed["F1"])
    assert main(["--format", "markdown", "--table", "pairs"]) == 0
    assert "| first | second |" in capsys.readouterr().out
    assert main(["--format=latex", "--table=hardest"]) == 0
    assert "\\begin{tabular}" in capsys.readouterr().out
    assert not MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'report'")
    assert not (trained / "reports").exists()


def test_run_of_a_printed_table_is_named(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    assert main(["--format=csv"]) == 0
    assert client.get_run(run_id).info.run_name == "report: table ranking-1"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--table=rankin"], "table=rankin: unknown table; did you mean ranking-1?"),
        (["--table=ranking"], "there are several, name one of them"),
    ],
)
def test_table_that_is_not_clear_is_refused(
    arguments: list[str],
    words: str,
    trained: Path,
    demo: Clips,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if arguments == ["--table=ranking"]:
        train(Experiment(dataset="demo", folds=2, workers=0))
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main([*arguments, "--format=csv"]))
    assert stop.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--table=ranking"], "table=ranking: give format=markdown, csv, latex or json too"),
        (["--format=html"], "format=html: must be one of markdown, csv, latex, json"),
        (["--data_root=/nowhere"], "data_root=/nowhere: no such folder"),
        (["--experiment=mine"], "experiment=mine: no such experiment (there are: Default)"),
        (["--output=mlflow.db/reports"], "output=mlflow.db/reports: cannot be written"),
        (["--methods=svn"], "method=svn: unknown"),
        (["--datasets=mine"], "dataset=mine: unknown"),
        (["--protocol=mine"], "protocol=mine: unknown"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    arguments: list[str], words: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(arguments))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in said
    assert said.count("\n") == 1
    assert not list(MlflowClient().search_runs(["0"]))
    assert not (store / "reports").exists()


@pytest.mark.parametrize("command", ["report", "study"])
def test_runs_that_dead_processes_left_are_named(
    command: str, store: Path, demo: Clips, capsys: pytest.CaptureFixture[str]
) -> None:
    tags = {**process_tags(), "mer.kind": "search", "mer.process.pid": "999999999"}
    client = MlflowClient()
    left = client.create_run("0", tags=tags, run_name="search made").info.run_id
    client.create_run("0", tags={**process_tags(), "mer.kind": "search"}, run_name="search alive")
    if command == "report":
        assert report() == 0
    else:
        (store / "plan.yaml").write_text("{datasets: [demo], methods: [svm]}")
        assert study(plan=str(store / "plan.yaml"), dry_run=True) == 0
    said = capsys.readouterr().out
    assert f"warning: run {left} (search made) is RUNNING, but its process has ended" in said
    assert "search alive" not in said
