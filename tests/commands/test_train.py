"""train as users type it: through ``mlflow run``, killed and continued, with bad input."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mer_mlflow.commands import train as train_module
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.environment import link_environment
from mer_mlflow.commands.train import main
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import RunDataError
from mer_mlflow.methods import get_method

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


def mlflow_run(
    *arguments: str, store: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Type ``mlflow run .`` with nothing but the project's environment on the PATH."""
    return subprocess.run(
        ["mlflow", "run", ".", *arguments],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": f"{BIN}:/usr/bin:/bin",
            "MLFLOW_ENV_ROOT": str(store / "envs"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def parents(status: str | None = None) -> list[Run]:
    wanted = f" and tags.`mer.status` = '{status}'" if status else ""
    return list(MlflowClient().search_runs(["0"], f"tags.`mer.kind` = 'cross-validation'{wanted}"))


def folds_of(run: Run) -> list[Run]:
    found: Any = MlflowClient().search_runs(
        ["0"], f"tags.`mlflow.parentRunId` = '{run.info.run_id}'", max_results=1000
    )
    return list(found)


def predictions_of(run: Run) -> pd.DataFrame:
    path = MlflowClient().download_artifacts(run.info.run_id, "predictions.parquet")
    return pd.read_parquet(path)


def test_mlflow_run_works_as_it_stands(store: Path, demo: Clips) -> None:
    link = link_environment(ROOT, Path(sys.prefix), root=store / "envs")
    done = mlflow_run("-e", "train", "-P", "repeats=2", store=store, MER_DATA_ROOT="")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("dataset: demo (the default without a data root")
    assert [path.name for path in (store / "envs").iterdir()] == [link.name]
    assert link.resolve() == Path(sys.prefix).resolve()
    (run,) = parents("complete")
    assert run.data.tags["mlflow.project.entryPoint"] == "train"
    assert run.data.params["repeats"] == "2"
    assert run.data.metrics["folds_done"] == 10
    assert len(folds_of(run)) == 10
    assert 0.6 < run.data.metrics["f1/macro"] < 0.95


def test_method_has_an_entry_point_of_its_own(store: Path, demo: Clips) -> None:
    link_environment(ROOT, Path(sys.prefix), root=store / "envs")
    size = [word for each in ("duration=2", "folds=2", "workers=0") for word in ("-P", each)]
    done = mlflow_run("-e", "svm", "-P", "C=2", "-P", "dataset=demo", *size, store=store)
    assert done.returncode == 0, done.stderr
    (run,) = parents("complete")
    assert run.data.params["hp.C"] == "2.0"
    assert run.data.params["hp.gamma"] == str(2**-9)


def test_training_svm_imports_neither_tensorflow_nor_torch(store: Path, demo: Clips) -> None:
    code = (
        "import sys\n"
        "from mer_mlflow.commands.train import main\n"
        "main(['--method=svm', '--dataset=demo', '--duration=2', '--folds=2', '--workers=0'])\n"
        "sys.exit(bool({'tensorflow', 'torch', 'keras'} & set(sys.modules)))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_features_are_extracted_where_there_is_no_table_and_the_run_says_so(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_CACHE_ROOT", str(store / "cache"))
    rng = np.random.default_rng(0)
    for i in range(16):
        path = store / "songs" / f"Q{1 + i % 4}" / f"{i:02d}.wav"
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, 0.02 * (1 + i % 4) * rng.normal(size=12_000), 16_000)
    data = ["--dataset=folder", f"--data_root={store / 'songs'}", "--folds=2", "--repeats=1"]
    assert main([*data, "--duration=0.7", "--workers=0"]) == 0
    said = capsys.readouterr().out
    assert "handcrafted features: extracted (dataset folder has no table 'top100'" in said
    (run,) = parents("complete")
    assert run.data.params["data.features"] == "extracted"
    assert run.data.metrics["f1/macro"] > 0.4


def test_store_that_does_not_answer_is_named(
    store: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "gopher://store")
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(["--dataset=demo"]))
    assert stop.value.code == 2
    assert "tracking store gopher://store cannot be used" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method=svn"], "method=svn: unknown"),
        (["--dataset=demos"], "dataset=demos: unknown"),
        (["--dataset=original-4qaed"], "give data_root, or set MER_DATA_ROOT"),
        (["--data_root=nowhere"], "nowhere: no such folder"),
        (["--profile=fast"], "profile=fast: must be one of paper, quick"),
        (["--protocol=loo"], "protocol=loo: must be one of paper"),
        (["--folds=x"], "folds=x: not a number"),
        (["--folds=1"], "folds=1: must be >= 2"),
        (["--folds=99"], "folds=99: dataset demo has only 40 clips"),
        (["--repeats=0"], "repeats=0"),
        (["--seed=-1"], "seed=-1"),
        (["--features=essentia"], "features=essentia: must be one of published, extracted"),
        (["--workers=-1"], "workers=-1"),
        (["--threads=0"], "threads=0"),
        (["--workers=0", "--method=cnn"], "workers=0: cnn needs a worker"),
        (["--duration=2", "--method=crnn"], "duration=2: crnn needs at least 3.1 seconds"),
        (["--only"], "only: has no value"),
        (["--duration=-3", "--method=cnn"], "duration=-3"),
        (["--max_epochs=0", "--method=cnn"], "max_epochs=0"),
        (["--hyperparameters=C=-1"], "C=-1: must be > 0 for svm"),
        (["--hyperparameters=learning_rate=1"], "svm has no hyperparameter 'learning_rate'"),
        (["--method=crnn", "--learning_rate=-0.1"], "learning_rate=-0.1: must be > 0"),
        (["--colour=red"], "colour=red: unknown parameter"),
    ],
)
def test_bad_input_is_one_line_and_leaves_no_run(
    arguments: list[str],
    words: str,
    store: Path,
    demo: Clips,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MER_DATA_ROOT", raising=False)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: main(arguments))
    said = capsys.readouterr().err
    assert stop.value.code == 2
    assert said.startswith("error: ")
    assert words in said
    assert said.count("\n") == 1
    assert parents() == []


@pytest.mark.parametrize(
    "error",
    [MlflowException("no"), RunDataError("metric=x: is not a number"), KeyError("experiment")],
    ids=lambda error: type(error).__name__,
)
def test_server_that_knows_no_estimate_stops_nothing(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("mer_mlflow.studies.evidence.latest_cost", fail)
    monkeypatch.setattr(train_module, "ESTIMATE_SECONDS", 0.0)
    assert train_module._known_cost("0", get_method("svm")) is None
