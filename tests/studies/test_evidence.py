"""Costs of methodologies are read from finished folds, those on this machine first."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from mlflow import MlflowClient

from mer_mlflow.methods import get_method
from mer_mlflow.studies.estimates import Load
from mer_mlflow.studies.evidence import latest_cost

METHOD = get_method("dnn_100")
PARAMS = {"cv.n_splits": "10", "data.n_clips": "900", "hp.epochs": "200", "hp.batch_size": "150"}
LOAD = Load(clips=810, steps=5.4, epochs=200, stop_accuracy=0.9)


def parent(client: MlflowClient, *, host: str, status: str = "complete") -> str:
    """Leave the run of a cross-validation behind."""
    facts = {"kind": "cross-validation", "status": status, "method": "dnn_100"}
    tags = {f"mer.{key}": value for key, value in facts.items()}
    run_id = str(client.create_run("0", tags=tags | {"mer.process.host": host}).info.run_id)
    for key, value in (PARAMS | {"hp.stop_accuracy": "0.9"}).items():
        client.log_param(run_id, key, value)
    return run_id


def complete(client: MlflowClient, *, host: str, fit_seconds: float) -> None:
    run_id = parent(client, host=host)
    values = {"cost/fit_seconds": 100 * fit_seconds, "cost/n_epochs": 50.0, "folds_done": 100.0}
    for key, value in values.items():
        client.log_metric(run_id, key, value)


def unfinished(client: MlflowClient, *, host: str, fit_seconds: float) -> None:
    above = parent(client, host=host, status="partial")
    for epochs in (30.0, 50.0):
        tags = {"mer.kind": "fold", "mer.method": "dnn_100", "mlflow.parentRunId": above}
        run_id = client.create_run("0", tags=tags).info.run_id
        client.log_metric(run_id, "cost/fit_seconds", fit_seconds)
        client.log_metric(run_id, "cost/n_epochs", epochs)
        client.set_terminated(run_id)


def test_trials_that_share_work_are_no_evidence(store: Path) -> None:
    client, svm = MlflowClient(), get_method("svm")
    tags = {
        "mer.kind": "cross-validation",
        "mer.status": "complete",
        "mer.method": "svm",
        "mer.trial": "3",
        "mer.process.host": socket.gethostname(),
    }
    above = client.create_run("0", tags=tags).info.run_id
    for key, value in (PARAMS | {"hp.C": "1"}).items():
        client.log_param(above, key, value)
    for key, value in {"cost/fit_seconds": 1.0, "folds_done": 100.0}.items():
        client.log_metric(above, key, value)
    tags = {"mer.kind": "fold", "mer.method": "svm", "mlflow.parentRunId": above}
    fold = client.create_run("0", tags=tags).info.run_id
    client.log_metric(fold, "cost/fit_seconds", 0.01)
    client.set_terminated(fold)
    assert svm.shares_work and latest_cost(client, "0", svm) is None
    client.delete_tag(above, "mer.trial")
    assert latest_cost(client, "0", svm) is not None


def expected(client: MlflowClient) -> tuple[float, str]:
    """Return the estimated seconds of a fold, and their source."""
    cost = latest_cost(client, "0", METHOD)
    assert cost is not None and not cost.is_bound(LOAD)
    return cost.of_fold(LOAD, cost.epochs(LOAD)), cost.source


def test_nearer_folds_are_preferred(store: Path) -> None:
    client, here = MlflowClient(), socket.gethostname()
    assert latest_cost(client, "0", METHOD) is None
    complete(client, host="elsewhere", fit_seconds=9.0)
    assert expected(client) == (pytest.approx(9.0), "an earlier run elsewhere")
    unfinished(client, host="elsewhere", fit_seconds=8.0)
    assert expected(client) == (pytest.approx(9.0), "an earlier run elsewhere")
    unfinished(client, host=here, fit_seconds=4.0)
    assert expected(client) == (pytest.approx(4.0), "2 finished folds")
    complete(client, host=here, fit_seconds=5.0)
    assert expected(client) == (pytest.approx(5.0), "an earlier run")
