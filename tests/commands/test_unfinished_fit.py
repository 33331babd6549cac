"""A fit that fails or is killed: registered models are complete, the next fit closes the rest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import LoggedModel
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE

from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.fit import main as fit
from mer_mlflow.deployment import load_trained
from mer_mlflow.tracking.models import close_unfinished

pytestmark = pytest.mark.usefixtures("store", "demo")
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
    assert stop.value.code == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: tracking store") and "the server is gone" in error
    assert models().keys() == set(left)
    assert statuses() == ["FAILED"]
    assert len(MlflowClient().search_model_versions()) == n_versions
    assert_registered_versions_are_complete()


def test_files_that_the_server_has_lost_are_not_registered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log = MlflowClient.log_model_artifacts

    def lossy(self: MlflowClient, model_id: str, folder: str, *others: Any) -> None:
        (Path(folder) / "artifacts" / "trained" / "SHA256SUMS").unlink()
        log(self, model_id, folder, *others)

    monkeypatch.setattr(MlflowClient, "log_model_artifacts", lossy)
    with pytest.raises(SystemExit) as stop:
        run_command(lambda: fit(COMMAND))
    assert stop.value.code == 2
    assert "the tracking server has lost some of its files" in capsys.readouterr().err
    assert models().keys() == {"FAILED"}
    assert not MlflowClient().search_registered_models()


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
