"""A model that is exported here is loaded, served and used for predictions there."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow import MlflowClient

from mer_mlflow.commands.export import main as export
from mer_mlflow.commands.fit import main as fit
from mer_mlflow.commands.import_ import main as import_
from mer_mlflow.commands.predict import main as predict
from mer_mlflow.commands.train import main as train
from mer_mlflow.datasets import QUADRANTS, Clips

SHORT = ("--method=svm", "--dataset=demo", "--duration=2", "--workers=0", "--profile=quick")
MODEL = "models:/mer-svm@candidate"


def predicted(clip: Path, model: str, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    assert predict((f"--clip={clip}", f"--model={model}", "--format=json")) == 0
    return json.loads(capsys.readouterr().out)


def test_model_exported_here_predicts_the_same_there(
    store: Path,
    demo: Clips,
    empty_store: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "songs")
    assert train((*SHORT, "--folds=2")) == 0
    assert fit((*SHORT, "--folds=2", "--register")) == 0
    assert export(("--archive=songs.zip",)) == 0
    assert "1 model, 1 registered version, " in capsys.readouterr().out
    exported = store / "songs.zip"
    clip = demo.audio_files()[0]
    before = predicted(clip, MODEL, capsys)
    old = MlflowClient().get_model_version_by_alias("mer-svm", "candidate")
    there = store / "there"
    there.mkdir()
    shutil.copy(empty_store, there / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{there / 'other.db'}")
    monkeypatch.chdir(there)
    assert import_((f"--archive={exported}",)) == 0
    said = capsys.readouterr().out
    assert "import: 1 models are now in experiment songs" in said
    assert "import: registered: models:/mer-svm/1" in said
    shutil.rmtree(store / "mlruns")  # nothing is read from the first store
    client = MlflowClient()
    version = client.get_model_version_by_alias("mer-svm", "candidate")
    assert version.source.startswith("models:/m-") and version.source != old.source
    for address in (MODEL, version.source):
        assert predicted(clip, address, capsys) == before
        served = mlflow.pyfunc.load_model(address).predict(pd.DataFrame({"path": [str(clip)]}))
        assert [served[name][0] for name in QUADRANTS] == [before[0][name] for name in QUADRANTS]
    model = client.get_logged_model(version.source.rpartition("/")[2])
    parent = client.get_run(model.tags["mer.validated_by"])
    assert parent.data.tags["mer.kind"] == "cross-validation"
    assert version.tags["mer.validated_by"] == parent.info.run_id
    assert client.get_run(model.source_run_id).data.tags["mer.kind"] == "fit"
    capsys.readouterr()
    assert import_((f"--archive={exported}",)) == 0
    assert "nothing was changed" in capsys.readouterr().out
    client.set_registered_model_alias("mer-svm", "champion", "1")
    client.create_model_version("mer-svm", version.source, model_id=model.model_id)
    client.set_registered_model_alias("mer-svm", "candidate", "2")
    assert import_((f"--archive={exported}",)) == 0
    said = capsys.readouterr().out
    assert "import: alias candidate of mer-svm stays on version 2; version 1, which had it" in said
    assert client.get_model_version_by_alias("mer-svm", "candidate").version == 2
