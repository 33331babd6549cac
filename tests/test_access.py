"""Addresses: what is shown of them, and how a run's page is found."""

from __future__ import annotations

import pytest

from mer_mlflow.access import (
    experiment_page,
    pages_address,
    redacted,
    run_page,
    user_name,
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MER_PAGES", "MLFLOW_WORKSPACE", "MLFLOW_TRACKING_USERNAME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://ada:secret@host:5000/path", "http://host:5000/path"),
        ("postgresql://optuna@host/optuna?password=secret&a=b", None),
        ("postgresql://optuna@host/optuna?sslpassword=secret", None),
        ("postgresql://optuna:sec,secret@host/optuna", "postgresql://host/optuna"),
        ("https://secret@host/path", "https://host/path"),
        ("https://host:443/pkg/@scope/x", "https://host:443/pkg/@scope/x"),
        ("http://10.0.0.1:5000/a@b", "http://10.0.0.1:5000/a@b"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_passwords_are_not_shown(url: str, expected: str | None) -> None:
    assert "secret" not in redacted(url)
    assert expected is None or redacted(url) == expected


def test_pages_are_where_the_variable_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pages_address("http://ada:secret@mlflow:5000/") == "http://mlflow:5000"
    monkeypatch.setenv("MER_PAGES", "https://lab.example/mlflow/")
    assert pages_address("http://mlflow:5000") == "https://lab.example/mlflow"


def test_page_of_a_run_names_the_workspace_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        run_page("http://host", "3", "ab")
        == "http://host/#/experiments/3/runs/ab?workflowType=machine_learning"
    )
    monkeypatch.setenv("MLFLOW_WORKSPACE", "my lab")
    assert run_page("http://host", "3", "ab").endswith(
        "/runs/ab?workflowType=machine_learning&workspace=my%20lab"
    )
    page = experiment_page("http://host", "3", view="searches")
    assert page == (
        "http://host/#/experiments/3/runs?workflowType=machine_learning&workspace=my%20lab"
        "&viewStateShareKey=searches"
    )


def test_runs_carry_the_name_that_signed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "ada")
    assert user_name() == "ada"
    monkeypatch.delenv("MLFLOW_TRACKING_USERNAME")
    monkeypatch.setenv("USER", "bob")
    monkeypatch.setenv("LOGNAME", "bob")
    assert user_name() == "bob"
