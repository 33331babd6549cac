"""Outages: detection of unavailable servers, and retries."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

import mlflow
import requests
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import SQLAlchemyError

from mer_mlflow.access import redacted, refusal
from mer_mlflow.errors import ParameterError, TrackingError
from mer_mlflow.tracking.answers import BROKEN
from mer_mlflow.tracking.readback import LostWriteError

PATIENCE_VARIABLE = "MER_TRACKING_PATIENCE"
PATIENCE_SECONDS = 600.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 15.0
SILENT_TRIES = 3
"""Number of successive failures before a message; a single one is not reported, except that of a
lock, because MLflow has already waited for it."""
TRANSIENT = frozenset({408, 429, 500, 502, 503, 504})
DATABASE = "sqlalche.me"
"""Text in all errors of SQLAlchemy; some are returned to MLflow's clients as bad requests."""
MOST_CHARACTERS = 160
FOLDER_STORE = "filesystem tracking backend"
"""Part of MLflow's message about a store that is a folder."""
NO_FOLDERS = (
    "it is a folder, to which MLflow does not write any more: name a database such as "
    "sqlite:///mlflow.db, to which `mlflow migrate-filestore` copies its runs, or set "
    "MLFLOW_ALLOW_FILE_STORE=true"
)
LOCKED = "another process keeps the database locked"

Answer = TypeVar("Answer")


def patience() -> float:
    """Return the time to wait for an unavailable tracking server: ``MER_TRACKING_PATIENCE``, else
    600 s.

    Raises
    ------
    ParameterError
        If it is not a number, or negative.
    """
    text = os.environ.get(PATIENCE_VARIABLE) or PATIENCE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ParameterError(f"{PATIENCE_VARIABLE}={text}: must be a number of seconds >= 0")
    return seconds


def is_outage(error: BaseException) -> bool:
    """Return whether the same call may succeed later."""
    if isinstance(error, LostWriteError):
        return True
    if isinstance(error, MlflowException):
        status: int = error.get_http_status_code()  # type: ignore[no-untyped-call]
        return status in TRANSIENT or DATABASE in str(error)
    if isinstance(error, requests.RequestException):
        return error.response is None or error.response.status_code in TRANSIENT
    is_about_a_file = isinstance(error, FileNotFoundError | PermissionError)
    return isinstance(error, OSError | SQLAlchemyError) and not is_about_a_file


def is_locked(error: BaseException) -> bool:
    """Return whether the cause is a sqlite database locked by another process."""
    return "database is locked" in str(error) or "database table is locked" in str(error)


def reason(error: BaseException) -> str:
    """Return the reason of a failed call, in one line without passwords."""
    if is_locked(error):
        return LOCKED
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, requests.Timeout):
            return "timeout"
        if isinstance(cause, requests.exceptions.RetryError):
            return "it returns errors"
        if isinstance(cause, BROKEN):
            return "its responses are empty, truncated or from another server"
        if isinstance(cause, requests.ConnectionError):
            return "no connection"
        cause = cause.__cause__ or cause.__context__
    first = (str(error).splitlines() or [""])[0]
    if FOLDER_STORE in first:
        return NO_FOLDERS
    words = redacted(first or type(error).__name__)
    if len(words) <= MOST_CHARACTERS:
        return words
    return f"{words[:MOST_CHARACTERS].rsplit(' ', 1)[0]} …"


def unusable_store(error: BaseException) -> TrackingError:
    """Return an error for a failed request to the tracking store."""
    uri = mlflow.get_tracking_uri()
    why = reason(error).replace(uri, redacted(uri))
    message = f"tracking store {redacted(uri)} cannot be used ({why}); check MLFLOW_TRACKING_URI"
    return TrackingError(refusal(error) or message)


@contextlib.contextmanager
def outage_in_one_line() -> Iterator[None]:
    """Turn the error of an unavailable tracking server into one line for the user.

    Raises
    ------
    TrackingError
        If the server became unavailable.
    """
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if not is_outage(error):
            raise
        raise unusable_store(error) from error


def retry(request: Callable[[], Answer], *, most: float = float("inf")) -> Answer:
    """Repeat a request while the tracking server is unavailable.

    Parameters
    ----------
    request : function that sends the request; it may be called several times
    most : maximum time to wait, if less than :func:`patience` [s]

    Raises
    ------
    TrackingError
        If the server is unavailable for longer.
    """
    end = time.monotonic() + min(patience(), most)
    for n_failures, pause in enumerate(pauses(), start=1):
        try:
            return request()
        except Exception as error:
            if not is_outage(error):
                raise
            if time.monotonic() + pause > end:
                raise unusable_store(error) from error
            if n_failures == (1 if is_locked(error) else SILENT_TRIES):
                print(f"waiting for the tracking server: {reason(error)}", flush=True)
        time.sleep(pause)
    raise AssertionError("pauses have no end")


def pauses() -> Iterator[float]:
    """Yield the pauses between retries [s], each twice as long as the last, up to a limit."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


@contextlib.contextmanager
def without_client_retries() -> Iterator[None]:
    """Disable the retries of MLflow's client, which could create a run twice."""
    variable = MLFLOW_HTTP_REQUEST_MAX_RETRIES.name
    before = os.environ.get(variable)
    os.environ[variable] = "0"
    try:
        yield
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
