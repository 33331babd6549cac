"""leaderboard: finished and running cross-validations, printed once or updated."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from mer_mlflow.commands import leaderboard as command
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.leaderboard import leaderboard, main
from mer_mlflow.commands.train import train
from mer_mlflow.crossval.metrics import summarise
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments import Experiment
from mer_mlflow.reporting import validations
from mer_mlflow.reporting.validations import read_validations

SCORES = {"r01-f01": 0.5, "r01-f02": 0.75}


@pytest.fixture
def running(store: Path, demo: Clips) -> str:
    """Id of a parent with two finished folds of three, whose third is running."""
    train(Experiment(dataset="demo", folds=3, workers=0))
    client = MlflowClient()
    (parent,) = client.search_runs(["0"], "tags.`mer.kind` = 'cross-validation'")
    tags = {**parent.data.tags, "mer.identity": "another", "mer.status": "running"}
    copy = client.create_run("0", tags=tags).info.run_id
    for key, value in parent.data.params.items():
        client.log_param(copy, key, value)
    for split in ("r01-f01", "r01-f02", "r01-f03"):
        tags = {"mer.kind": "fold", "mer.identity": "another", "mlflow.parentRunId": copy}
        child = client.create_run("0", tags={**tags, "mer.split": split}).info.run_id
        if split in SCORES:
            client.log_metric(child, "f1_macro", SCORES[split])
            client.set_terminated(child, "FINISHED")
    return copy


def test_partial_rows_have_scores_so_far_and_are_marked(
    running: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (item,) = (each for each in read_validations(MlflowClient(), ["0"]).validations if each.so_far)
    assert (item.run_id, item.is_complete, sorted(item.so_far)) == (running, False, [0.5, 0.75])
    expected = summarise(np.array([0.5, 0.75]), test_share=item.test_share)
    assert expected.low < 0
    found = item.summary_so_far()
    assert found is not None
    assert (found.mean, found.low, found.high) == (expected.mean, 0, 1)
    assert main([]) == 0
    said = capsys.readouterr().out
    (line,) = (line for line in said.splitlines() if "partial 2/3" in line)
    assert "62.50" in line
    assert "0.0 to 100.0" in line
    assert running[:8] in line
    assert "3/3" in said
    assert "1 complete, 1 partial, 5 folds" in said
    assert "\x1b" not in said


def test_ranking_is_updated_until_it_is_interrupted(
    running: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waits: list[float] = []
    reads: list[object] = []
    search, fetch = MlflowClient.search_runs, validations._fetched

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    def sometimes(*arguments: Any, **wanted: Any) -> Any:
        if len(waits) == 1:
            raise MlflowException("no server", error_code=TEMPORARILY_UNAVAILABLE)
        return search(*arguments, **wanted)

    def fetched(*given: Any) -> Any:
        reads.append(given)
        return fetch(*given)

    monkeypatch.setattr(command.time, "sleep", wait)
    monkeypatch.setattr(MlflowClient, "search_runs", sometimes)
    monkeypatch.setattr(validations, "_fetched", fetched)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "150")
    assert leaderboard(interval=2) == 0
    assert waits == [2, 2, 2]
    assert len(reads) == 1  # a complete cross-validation is read once
    said = capsys.readouterr().out
    assert "not updated: " in said
    assert "partial 2/3" in said


def test_empty_experiment_says_what_to_do(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--interval=0"]) == 0
    assert "run `mlflow run . -e train` first" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--experiment=mine"], "experiment=mine: no such experiment"),
        (["--interval=-1"], "interval=-1"),
        (["--methods=svn"], "method=svn: unknown"),
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], words: str, store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(arguments))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert words in said
    assert said.count("\n") == 1
