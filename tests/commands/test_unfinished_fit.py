"""A fit that fails or is killed: registered models are complete, the next fit closes the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.fit import main as fit
from mer_mlflow.commands.sync import sync
from mer_mlflow.deployment import load_trained
from mer_mlflow.deployment.delivery import keep, kept_models
from mer_mlflow.errors import ModelError
from mer_mlflow.tracking.models import close_unfinished

pytestmark = pytest.mark.usefixtures("store", "demo", "journals")
READY = LoggedModelStatus.READY
COMMAND = (
    "--method=svm",
    "--dataset=demo",
    "--duration=2",
    "--workers=0",
    "--profile=quick",
    "--folds=3",
    "--register",
)
KILLED = """
import os, signal, sys
from mlflow import MlflowClient
from mer_mlflow.commands.fit import main

def kill(*arguments, **named):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(MlflowClient, sys.argv[1], kill)
main(sys.argv[2:])
"""


@pytest.fixture
def journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder of journals of this test alone."""
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "journals"))


def models() -> dict[str, LoggedModel]:
    """Models by their status."""
    found = MlflowClient().search_logged_models(["0"])
    return {model.status.value: model for model in found}


def statuses() -> list[str]:
    found = MlflowClient().search_runs(["0"], "tags.`mer.kind` = 'fit'")
    return sorted(run.info.status for run in found)


def assert_registered_versions_are_complete() -> None:
    for version in MlflowClient().search_model_versions():
        model = MlflowClient().get_logged_model(version.source.rpartition("/")[2])
        assert model.status.value == "READY"
        load_trained(Path(model.artifact_location) / "artifacts" / "trained")


@pytest.mark.parametrize(
    ("step", "left", "n_versions"),
    [
        ("_create_logged_model", {}, 0),
        ("log_outputs", {"FAILED"}, 0),
        ("log_model_artifacts", {"FAILED"}, 0),
        ("finalize_logged_model", {"PENDING"}, 0),
        ("create_registered_model", {"READY"}, 0),
        ("_create_model_version", {"READY"}, 0),
        ("set_registered_model_alias", {"READY"}, 1),
    ],
)
def test_fit_whose_server_goes_away_at_any_step(
    step: str,
    left: set[str],
    n_versions: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def gone(*arguments: Any, **named: Any) -> None:
        raise MlflowException("the server is gone", TEMPORARILY_UNAVAILABLE)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stop:
        owner = "mlflow.tracking.fluent.finalize_logged_model" if "final" in step else None
        patch.setattr(owner, gone) if owner else patch.setattr(MlflowClient, step, gone)
        run_command(lambda: fit(COMMAND))
    assert stop.value.code == 3
    error = capsys.readouterr().err.splitlines()[-1]
    assert "the server is gone; the fitted model is kept in" in error
    assert models().keys() == set(left)
    assert statuses() == ["FAILED"]
    assert len(MlflowClient().search_model_versions()) == n_versions
    assert_registered_versions_are_complete()
    assert_that_sync_delivers(capsys)


def assert_that_sync_delivers(capsys: pytest.CaptureFixture[str]) -> None:
    """A kept model is logged once, and registered once."""
    (kept,) = kept_models()
    others = {**kept.order.process, "mer.process.pid": "1", "mer.process.started": "0"}
    order = kept.folder / "order.json"
    order.write_text(json.dumps({**asdict(kept.order), "process": others}))
    assert sync() == 0
    assert "registered: models:/mer-svm/1 (alias candidate)" in capsys.readouterr().out
    assert statuses() == ["FINISHED"]
    ready = [each for each in MlflowClient().search_logged_models(["0"]) if each.status == READY]
    assert len(ready) == 1
    (version,) = MlflowClient().search_model_versions()
    assert version.source == ready[0].model_uri
    assert version.description.startswith("# SVM on Demo")
    assert MlflowClient().get_model_version_by_alias("mer-svm", "candidate").version == 1
    assert_registered_versions_are_complete()
    assert not kept.folder.exists()
    assert sync() == 0
    assert "nothing to deliver" in capsys.readouterr().out


def test_model_of_another_server_is_named_and_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "trained"
    model.mkdir()
    client = MlflowClient()
    run_id = client.create_run("0").info.run_id
    facts = {"run_id": run_id, "experiment_id": "0", "registered_name": None}
    kept = keep(model, client, tags={}, params={}, metrics={}, **facts)
    assert sync() == 0
    assert "its process is still running" in capsys.readouterr().out
    order = {**asdict(kept.order), "process": {}, "server": "http://elsewhere"}
    (kept.folder / "order.json").write_text(json.dumps(order))
    assert sync() == 3
    assert "is to be delivered to http://elsewhere; set MLFLOW_TR" in capsys.readouterr().out
    (kept.folder / "order.json").write_text("{")
    with pytest.raises(ModelError, match=r"order\.json: cannot be read"):
        sync()
    assert (kept.folder / "trained").is_dir()


def test_files_that_the_server_has_lost_are_not_registered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = MlflowClient.log_model_artifacts

    def lossy(self: MlflowClient, model_id: str, folder: str, *others: Any) -> None:
        (Path(folder) / "artifacts" / "trained" / "SHA256SUMS").unlink()
        log(self, model_id, folder, *others)

    with monkeypatch.context() as patch, pytest.raises(SystemExit) as stop:
        patch.setattr(MlflowClient, "log_model_artifacts", lossy)
        run_command(lambda: fit(COMMAND))
    assert stop.value.code == 3
    assert "the tracking server has lost some files of it" in capsys.readouterr().err
    assert models().keys() == {"FAILED"}
    assert not MlflowClient().search_registered_models()
    assert_that_sync_delivers(capsys)


def test_killed_fit_is_closed_by_the_next_one(store: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, "log_model_artifacts", *COMMAND],
        capture_output=True,
        cwd=store,
        env=os.environ,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert models().keys() == {"PENDING"}
    assert statuses() == ["RUNNING"]
    assert not MlflowClient().search_registered_models()
    assert fit(COMMAND) == 0
    assert statuses() == ["FINISHED", "KILLED"]
    found = models()
    assert found.keys() == {"FAILED", "READY"}
    (version,) = MlflowClient().search_model_versions()
    assert version.source == found["READY"].model_uri
    assert_registered_versions_are_complete()
    assert sync() == 0  # the model of the killed one was kept, too
    assert statuses() == ["FINISHED", "FINISHED"]
    assert len(MlflowClient().search_model_versions()) == 2
    assert_registered_versions_are_complete()


@pytest.mark.parametrize(
    ("kind", "status", "tags", "expected"),
    [
        ("fit", "KILLED", {}, "FAILED"),
        ("fit", "RUNNING", {}, "PENDING"),
        ("search", "KILLED", {}, "PENDING"),
        ("fit", "FINISHED", {"mer.imported_from": "m-1"}, "PENDING"),
    ],
)
def test_only_models_of_ended_fits_are_closed(
    kind: str, status: str, tags: dict[str, str], expected: str
) -> None:
    client = MlflowClient()
    run_id = client.create_run("0", tags={"mer.kind": kind}).info.run_id
    if status != "RUNNING":
        client.set_terminated(run_id, status)
    model = client.create_logged_model("0", source_run_id=run_id, tags=tags)
    close_unfinished(client, "0", but=run_id)
    assert models().keys() == {"PENDING"}
    close_unfinished(client, "0", but="")
    assert client.get_logged_model(model.model_id).status.value == expected
