"""Validation of HTTP responses in MLflow's client.

A proxy may respond with success and an empty body, with a page of its own, or with a truncated
response. MLflow's client parses an empty body as an empty message, so that a lost write counts as
successful, and a search finds nothing. Here, such a response is a failed request. It is repeated at
least as often as one with status 500. The valid response to the upload of a file has an empty body:
uploads are verified by reading back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from itertools import count
from typing import Any
from urllib.parse import urlsplit

import requests
from mlflow.utils import rest_utils
from requests.exceptions import ChunkedEncodingError, ContentDecodingError, InvalidJSONError

BROKEN = (InvalidJSONError, ChunkedEncodingError, ContentDecodingError)
"""Exceptions for responses that are empty, truncated or not from a tracking server."""
LONGEST_PAUSE_SECONDS = 120.0
N_REPETITIONS, PAUSE_SECONDS = 3, 0.05
"""Number of immediate retries, and first pause before them, of an idempotent request."""
ONCE = ("/create", "/delete", "/restore")
"""Ends of the addresses of requests that are not idempotent."""
UPLOADS = "/mlflow-artifacts/artifacts/"
"""Part of the addresses of files; the response to an upload has an empty body."""
PLACES = ("/mlflow/", "/mlflow-artifacts/")
"""Parts of the addresses with JSON objects as responses."""
NAMES = {
    "/runs/create": ("run", "info", "run_id"),
    "/runs/get": ("run", "info", "run_id"),
    "/runs/update": ("run_info", "run_id"),
    "/experiments/create": ("experiment_id",),
    "/experiments/get": ("experiment", "experiment_id"),
    "/experiments/get-by-name": ("experiment", "experiment_id"),
}
"""Path to the id of the run or experiment in a response, by the end of the address."""
_request: Any = rest_utils._get_http_response_with_retries  # type: ignore[attr-defined]


def require_whole_answers() -> None:
    """Make MLflow's client in this process validate responses."""
    rest_utils._get_http_response_with_retries = _request_whole  # type: ignore[attr-defined]


def _request_whole(
    method: str, url: str, max_retries: int, backoff_factor: float, *others: Any, **named: Any
) -> requests.Response:
    """Send a request, and retry while the response is invalid."""
    is_once = urlsplit(url).path.endswith(ONCE)
    file: Any = named.get("data")
    n_repetitions = max_retries if is_once else max(max_retries, N_REPETITIONS)
    for n_tries in count():
        if n_tries and file is not None:
            file.seek(0)  # the previous request has read it
        try:
            answer: requests.Response = _request(
                method, url, max_retries, backoff_factor, *others, **named
            )
            if answer.ok and not named.get("stream"):
                check_answer(answer, named.get("params") or named.get("json") or {})
            return answer
        except BROKEN:
            if n_tries >= n_repetitions:
                raise
        first = PAUSE_SECONDS if n_tries < N_REPETITIONS else backoff_factor
        time.sleep(min(first * 2**n_tries, LONGEST_PAUSE_SECONDS))
    raise AssertionError("a count has no end")


def check_answer(answer: requests.Response, question: Mapping[str, Any]) -> None:
    """Check that a response is from a tracking server and matches the request.

    Parameters
    ----------
    answer : response with a status of success
    question : parameters of the request

    Raises
    ------
    InvalidJSONError
        If the response is invalid.
    """
    path = urlsplit(answer.url).path
    if UPLOADS in path and not answer.content:
        return
    if not any(place in path for place in PLACES):
        return
    try:
        found = answer.json()
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidJSONError(f"{path}: the response is empty or not from a tracking server")
    keys = next((keys for end, keys in NAMES.items() if path.endswith(end)), None)
    if keys is None:
        return
    name: Any = found
    for key in keys:
        name = name.get(key) if isinstance(name, dict) else None
    if not name or question.get(keys[-1], name) != name:
        raise InvalidJSONError(f"{path}: the response does not match the request")
