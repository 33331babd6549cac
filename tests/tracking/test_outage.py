"""Outages: what counts as one, and how long a server is waited for."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

import pytest
import requests
from mlflow.exceptions import MlflowException, RestException
from mlflow.protos.databricks_pb2 import (
    BAD_REQUEST,
    RESOURCE_DOES_NOT_EXIST,
    TEMPORARILY_UNAVAILABLE,
)
from sqlalchemy.exc import OperationalError

from mer_mlflow.errors import ParameterError, TrackingError
from mer_mlflow.tracking import outage
from mer_mlflow.tracking.outage import (
    is_outage,
    patience,
    pauses,
    reason,
    retry,
    without_client_retries,
)

RETRIES = "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


def wrapped(error: Exception) -> MlflowException:
    """An error as MLflow passes it on."""
    try:
        try:
            raise error
        except Exception as cause:
            raise MlflowException(f"API request failed with exception {cause}")  # noqa: B904
    except MlflowException as outer:
        return outer


def http_error(status: int) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = status
    return requests.HTTPError("no", response=response)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (wrapped(requests.ConnectionError("refused")), True),
        (MlflowException("busy", error_code=TEMPORARILY_UNAVAILABLE), True),
        (MlflowException("see https://sqlalche.me/e/20/e3q8", error_code=BAD_REQUEST), True),
        (MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST), False),
        (RestException({"error_code": "PERMISSION_DENIED", "message": "no"}), False),
        (http_error(503), True),
        (http_error(404), False),
        (requests.Timeout("late"), True),
        (OSError(28, "No space left on device"), True),
        (OperationalError("SELECT 1", None, Exception("locked")), True),
        (ValueError("a bug"), False),
    ],
)
def test_outages_are_told_from_refusals(error: Exception, expected: bool) -> None:
    assert is_outage(error) == expected


def test_reasons_are_one_short_line_without_passwords() -> None:
    assert reason(wrapped(requests.ConnectionError("a\nb"))) == "no connection"
    assert reason(wrapped(requests.ReadTimeout("a"))) == "timeout"
    assert reason(wrapped(requests.exceptions.RetryError("500"))) == "it returns errors"
    assert reason(OSError("at http://ada:secret@host")) == "at http://host"
    assert len(reason(OSError("x" * 999 + "\nmore"))) < 200
    assert reason(OSError("word " * 99)).endswith("word …")
    assert reason(OSError()) == "OSError"


def test_folder_as_store_is_refused_in_whole_sentences(tmp_path: Path) -> None:
    from mlflow.store.tracking.file_store import FileStore

    with pytest.raises(MlflowException) as refused:
        FileStore(str(tmp_path))
    assert reason(refused.value) == (
        "it is a folder, to which MLflow does not write any more: name a database such as "
        "sqlite:///mlflow.db, to which `mlflow migrate-filestore` copies its runs, or set "
        "MLFLOW_ALLOW_FILE_STORE=true"
    )


def test_server_that_comes_back_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    left = [requests.ConnectionError("refused")] * 5

    def ask() -> str:
        if left:
            raise left.pop()
        return "here"

    assert retry(ask) == "here"
    assert capsys.readouterr().out == "waiting for the tracking server: no connection\n"


def test_lock_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    left = [wrapped(OperationalError("SELECT 1", None, Exception("database is locked")))]

    def ask() -> str:
        if left:
            raise left.pop()
        return "here"

    assert retry(ask) == "here"
    words = "waiting for the tracking server: another process keeps the database locked\n"
    assert capsys.readouterr().out == words


def test_server_that_stays_away_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_TRACKING_PATIENCE", "0.3")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://ada:secret@127.0.0.1:1")

    def ask() -> None:
        raise requests.ConnectionError("refused")

    words = r"store http://127.0.0.1:1 cannot be used \(no connection\)"
    with pytest.raises(TrackingError, match=words):
        retry(ask)


def test_refusal_is_not_waited_for() -> None:
    n_asked = 0

    def ask() -> None:
        nonlocal n_asked
        n_asked += 1
        raise MlflowException("no such run", error_code=RESOURCE_DOES_NOT_EXIST)

    with pytest.raises(MlflowException):
        retry(ask)
    assert n_asked == 1


def test_pauses_grow_up_to_a_limit() -> None:
    found = list(islice(pauses(), 10))
    assert found[:3] == [0.25, 0.5, 1.0]
    assert found == sorted(found)
    assert found[-1] == outage.LONGEST_PAUSE_SECONDS


@pytest.mark.parametrize("text", ["soon", "-1", "nan", "inf"])
def test_patience_is_a_number_of_seconds(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("MER_TRACKING_PATIENCE", text)
    with pytest.raises(ParameterError, match=f"MER_TRACKING_PATIENCE={text}: must be"):
        patience()


@pytest.mark.parametrize("before", [None, "5"])
def test_mlflow_does_not_try_again_by_itself(
    monkeypatch: pytest.MonkeyPatch, before: str | None
) -> None:
    monkeypatch.delenv(RETRIES, raising=False)
    if before:
        monkeypatch.setenv(RETRIES, before)
    with without_client_retries():
        assert os.environ[RETRIES] == "0"
    assert os.environ.get(RETRIES) == before
