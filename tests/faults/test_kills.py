"""SIGKILL of a run's whole process tree, with folds done and at random moments: continuing ends as
if nothing was."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.commands.parameters import METHOD, experiment_values
from mer_mlflow.commands.parameters import TRAIN as TRAIN_PARAMETERS
from mer_mlflow.crossval.setting import gather
from mer_mlflow.datasets import Clips
from mer_mlflow.experiments import Experiment, resolve
from mer_mlflow.representations import open_store

N_KILLS = int(os.environ.get("MER_FAULT_KILLS", "1"))
TRAIN = ("train", "--dataset=demo", "--workers=2")
RUNS = {
    "svm": (*TRAIN, "--method=svm", "--folds=3", "--repeats=2", "--duration=2"),
    "svm of many folds": (*TRAIN, "--method=svm", "--folds=5", "--repeats=4"),
    "cnn": (*TRAIN, "--method=cnn", "--folds=4", "--repeats=1", "--max_epochs=2", "--duration=3"),
}
N_FOLDS = {"svm": 6, "svm of many folds": 20, "cnn": 4}
TRIED = ["svm"] if N_KILLS == 1 else ["svm of many folds", "cnn"]
Train = Callable[[tuple[str, ...], str], Any]

pytestmark = pytest.mark.usefixtures("store")


@pytest.fixture
def train(start: Callable[..., Any]) -> Train:
    """Function that starts a training in an experiment."""

    def train(command: tuple[str, ...], experiment: str) -> Any:
        return start(*command, environment={"MLFLOW_EXPERIMENT_NAME": experiment})

    return train


def runs_of(experiment: str, condition: str) -> list[Run]:
    client = MlflowClient()
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return []
    return list(client.search_runs([found.experiment_id], condition, max_results=1000))


def finished_folds(experiment: str) -> dict[str, int]:
    """End of each finished fold's run, by the run's id."""
    folds = runs_of(experiment, "tags.`mer.kind` = 'fold' and status = 'FINISHED'")
    return {run.info.run_id: run.info.end_time for run in folds}


def predictions_of(experiment: str) -> pd.DataFrame:
    (run,) = runs_of(experiment, "tags.`mer.status` = 'complete'")
    path = MlflowClient().download_artifacts(run.info.run_id, "predictions.parquet")
    return pd.read_parquet(path)


def assert_whole(experiment: str, *, n_folds: int) -> None:
    (parent,) = runs_of(experiment, "tags.`mer.status` = 'complete'")
    folds = runs_of(experiment, "tags.`mer.kind` = 'fold' and status = 'FINISHED'")
    ran = Counter(run.data.tags["mer.split"] for run in folds)
    assert len(ran) == n_folds and set(ran.values()) == {1}
    assert {run.data.tags["mlflow.parentRunId"] for run in folds} == {parent.info.run_id}
    assert not runs_of(experiment, "status = 'RUNNING' and tags.`mer.kind` = 'fold'")
    assert list(Path(os.environ["MER_JOURNAL_ROOT"]).glob("*.journal")) == []


def fill_the_store(command: tuple[str, ...], clips: Clips) -> None:
    experiment = Experiment(**experiment_values((*METHOD, *TRAIN_PARAMETERS), command[1:]))
    gather(resolve(experiment, clips).setting, store=open_store())


def kill_at(
    moments: Iterator[float | None], train: Train, command: tuple[str, ...], experiment: str
) -> bool:
    """Kill a run at the next moment [s], None for once it has a fold; False where it had ended."""
    process, moment = train(command, experiment), next(moments)
    if moment is None:
        while process.wait(0.05) is None and not finished_folds(experiment):
            pass
    code = process.wait(moment or 0.0)
    if code is None:
        process.kill()
        return True
    assert code == 0
    return False


@pytest.mark.parametrize("method", TRIED)
def test_killed_run_ends_as_the_uninterrupted_one(
    method: str, demo: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, train: Train
) -> None:
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))
    command, n_folds = RUNS[method], N_FOLDS[method]
    fill_the_store(command, demo)
    begin = time.monotonic()
    assert train(command, "whole").wait() == 0
    seconds = time.monotonic() - begin
    assert_whole("whole", n_folds=n_folds)
    draw = random.Random(method)
    moments = chain([None], iter(lambda: seconds * draw.random(), None))
    n_kills, n_rounds = 0, 0
    while n_kills < N_KILLS:
        experiment, n_rounds, before = f"round {n_rounds}", n_rounds + 1, {}
        while n_kills < N_KILLS and kill_at(moments, train, command, experiment):
            n_kills += 1
            after = finished_folds(experiment)
            assert before.items() <= after.items()
            before = after
        assert train(command, experiment).wait() == 0
        assert before.items() <= finished_folds(experiment).items()
        assert_whole(experiment, n_folds=n_folds)
        assert predictions_of(experiment).equals(predictions_of("whole"))
    print(f"{method}: killed {n_kills} times in {n_rounds} runs of {seconds:.0f} s")
