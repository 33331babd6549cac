"""search as users type it: the winner is where train finds it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import optuna
import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.report import report
from mer_mlflow.commands.search import main
from mer_mlflow.commands.study import study
from mer_mlflow.commands.train import main as train
from mer_mlflow.datasets import Clips
from mer_mlflow.tracking.environment import process_tags

COMMON = ["--dataset=demo", "--duration=2", "--folds=2", "--workers=0"]
SEARCH = [*COMMON, "--space=C=1,8;gamma=0.002,0.008", "--strategy=grid"]


def test_search_then_train_with_the_best_then_report(
    store: Path, demo: Clips, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SEARCH) == 0
    said = capsys.readouterr().out
    assert "folds run: 8" in said
    assert "the score is optimistic" in said
    assert (store / "optuna.db").exists()
    assert main(SEARCH) == 0
    assert "nothing was run: this search is already finished" in capsys.readouterr().out
    assert report() == 0
    assert "svm" not in capsys.readouterr().out
    assert train([*COMMON, "--hyperparameters=best"]) == 0
    said = capsys.readouterr().out
    assert "hyperparameters: the best of study svm demo grid" in said
    assert "nothing was run" not in said, "trials of svm predict quadrants only"
    assert train([*COMMON, "--hyperparameters=best"]) == 0
    assert "nothing was run: run" in capsys.readouterr().out
    assert report() == 0
    assert "tuned" in capsys.readouterr().out
    trials = MlflowClient().search_runs(["0"], "tags.`mer.trial` != '' and tags.`mer.study` != ''")
    assert len(trials) == 4
    assert all(run.data.tags["mer.study"].startswith("svm demo grid") for run in trials)
    tuned = MlflowClient().search_runs(["0"], "tags.`mer.tuned_by` != ''")
    (trained,) = (run for run in tuned if run.data.tags["mer.status"] == "complete")
    assert trained.data.tags["mer.selection"] == "not nested"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--strategy=random"], "strategy=random: must be one of grid, neighbour, tpe"),
        (["--prune=median"], "prune=median: must be one of wilcoxon, forgiving"),
        (["--trials=0"], "trials=0: must be >= 1"),
        (["--space=C=-1,2"], "C=-1: must be > 0 for svm"),
        (["--space=C"], 'write "name=value,value'),
        (["--space=C=1,2", "--hyperparameters=C=4"], "C is both fixed by hyperparameters"),
        (["--start=C"], "start=C: 'C' is not name=value"),
        (["--start=C=-1"], "C=-1: must be > 0 for svm"),
        (["--space=C=1,2", "--start=gamma=1"], "start: gamma is not searched (searched are C)"),
        (["--storage=nonsense"], "storage=nonsense: cannot be used"),
        (["--method=cnn"], "workers=0: cnn needs a worker"),
        (["--method=svn"], "method=svn: unknown"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    arguments: list[str],
    words: str,
    store: Path,
    demo: Clips,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main([*COMMON, *arguments]))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in said
    assert said.count("\n") == 1
    assert not list(MlflowClient().search_runs(["0"]))


def test_killed_search_leaves_nothing_at_work_once_it_is_given_again(
    store: Path, demo: Clips
) -> None:
    asked = [*COMMON, "--folds=5", "--space=C=1,2", "--strategy=tpe", "--trials=2"]
    client = MlflowClient()
    victim = subprocess.Popen(
        [sys.executable, "-m", "mer_mlflow", "search", *asked],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "MER_OPTUNA_STORAGE": f"sqlite:///{store / 'optuna.db'}"},
        start_new_session=True,
    )
    deadline = time.monotonic() + 120
    while not client.search_runs(["0"], "tags.`mer.kind` = 'fold'") and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(victim.pid, signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL
    left = [run.info.run_id for run in client.search_runs(["0"], "status = 'RUNNING'")]
    assert len(left) >= 2
    alive = client.create_run("0", tags={**process_tags(), "mer.kind": "search"}).info.run_id

    assert main(asked) == 0
    running = [run.info.run_id for run in client.search_runs(["0"], "status = 'RUNNING'")]
    assert running == [alive]
    trials = optuna.load_study(study_name=None, storage="sqlite:///optuna.db").get_trials()
    states = Counter(trial.state.name for trial in trials)
    assert states == {"COMPLETE": 2, "FAIL": 1}


@pytest.mark.parametrize("command", ["search", "study"])
@pytest.mark.parametrize("given", ["--storage=sqlite:///new.db", "MER_OPTUNA_STORAGE", ""])
def test_database_of_mlflow_is_no_storage_and_nothing_is_made(
    given: str,
    command: str,
    store: Path,
    demo: Clips,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = "optuna.db" if given == "" else "new.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store / place}")
    if given == "MER_OPTUNA_STORAGE":
        monkeypatch.setenv(given, "sqlite:///./new.db")
    arguments = [given] * given.startswith("--")
    (store / "plan.yaml").write_text(
        "profile: quick\ndatasets: [demo]\nmethods: [svm]\nsearches: {svm: {strategy: grid}}\n"
    )
    before = set(store.iterdir())
    with pytest.raises(SystemExit) as stop:
        if command == "search":
            run_command(lambda: main([*COMMON, *arguments]))
        else:
            storage = "sqlite:///new.db" if arguments else None
            run_command(lambda: study(plan=str(store / "plan.yaml"), storage=storage))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: storage=sqlite:///") and "is the database of MLflow" in said
    assert said.count("\n") == 1
    assert set(store.iterdir()) == before


@pytest.mark.parametrize("asked", ["best", "best of svm demo grid 01234567"])
def test_best_without_a_search_is_named(
    asked: str, store: Path, demo: Clips, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: train([*COMMON, f"--hyperparameters={asked}"]))
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert f"hyperparameters={asked}: no finished search of svm" in said
    assert said.count("\n") == 1


def test_neighbour_searches_begin_where_they_are_told_to(store: Path, demo: Clips) -> None:
    asked = [*COMMON, "--space=C=1,2,4", "--strategy=neighbour"]
    assert main([*asked, "--start=C=1"]) == 0
    (first, *_) = MlflowClient().search_runs(["0"], "tags.`mer.trial` = '0'")
    assert first.data.params["hp.C"] == "1.0"


def test_nested_training_chooses_in_each_fold_and_says_so(
    store: Path, demo: Clips, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(SEARCH) == 0
    nested = [*COMMON, "--hyperparameters=best", "--nested=true"]
    assert train(nested) == 0
    said = capsys.readouterr().out
    assert "C, gamma are chosen by a search" in said
    (run,) = MlflowClient().search_runs(["0"], "tags.`mer.selection` = 'nested'")
    assert run.data.params["hp.C"] == "chosen in each fold"
    assert run.data.params["nested.strategy"] == "grid"
    assert run.data.params["nested.space.gamma"] == "0.002, 0.008"
    children = MlflowClient().search_runs(["0"], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'")
    assert {float(child.data.params["hp.C"]) for child in children} <= {1.0, 8.0}
    MlflowClient().set_tag(run.info.run_id, "mer.status", "interrupted")
    assert train(nested) == 0
    assert "2 folds were already done" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--nested=maybe"], "nested=maybe: must be true or false"),
        (["--nested=true", "--strategy=tpe"], "strategy=tpe: must be one of grid, neighbour"),
        (["--strategy=grid"], "belong to nested=true"),
        (["--nested=true", "--space=D=1"], "svm has no hyperparameter 'D'"),
    ],
)
def test_bad_nested_input_is_one_line(
    arguments: list[str],
    words: str,
    store: Path,
    demo: Clips,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: train([*COMMON, *arguments]))
    assert stop.value.code == 2
    assert words in capsys.readouterr().err
    assert not list(MlflowClient().search_runs(["0"]))
