"""report: prints and logs the comparison of an experiment."""

from __future__ import annotations

from pathlib import Path

import pytest
from mlflow import MlflowClient

from entrypoints.report import report
from entrypoints.train import train
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import ParameterError


def logged_table() -> str:
    client = MlflowClient()
    (run,) = client.search_runs(["0"], "tags.`mer.kind` = 'report'")
    assert run.info.status == "FINISHED"
    return Path(client.download_artifacts(run.info.run_id, "comparison.md")).read_text()


def test_trained_methods_are_compared(
    store: Path, demo: Clips, capsys: pytest.CaptureFixture[str]
) -> None:
    for penalty in (1.0, 8.0):
        train(dataset="demo", folds=3, workers=0, hyperparameters={"C": penalty})
    assert report() == 0
    said = capsys.readouterr().out
    table = logged_table()
    assert table.count("| svm | demo | paper 1 x 3 |") == 2
    assert "| 10 s, extracted features, C=1.0 |" in table
    assert "| 10 s, extracted features |" in table
    assert "C=1.0" in said


def test_experiment_without_runs_says_what_to_do(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report() == 0
    assert "run `mlflow run . -e train` first" in capsys.readouterr().out


def test_unknown_experiment_is_named_with_the_known_ones(store: Path) -> None:
    with pytest.raises(ParameterError, match=r"experiment=mine: .*there are: Default"):
        report(experiment="mine")
