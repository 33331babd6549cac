"""Answers: MLflow's client takes none over HTTP that a tracking server did not give in full.

A proxy may answer a request with success and nothing behind it, with a page of its own, or with the
first half of the answer. MLflow's client parses an empty body as an empty message, so that a write
that never arrived counts as done and a search finds nothing. Here such an answer is a failed
request. It is repeated at least as often as one that was answered by an error 500. A server
answers the upload of a file with an empty body: whether it has the file is seen by reading back.
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
"""Errors of answers that are empty, cut off or not a tracking server's."""
LONGEST_PAUSE_SECONDS = 120.0
N_REPETITIONS, PAUSE_SECONDS = 3, 0.05
"""Repetitions at once, and the first pause before them, of a request that may be made twice."""
ONCE = ("/create", "/delete", "/restore")
"""Ends of the addresses at which a request that is made twice does something else."""
UPLOADS = "/mlflow-artifacts/artifacts/"
"""Part of the addresses of files, whose upload a tracking server answers with an empty body."""
PLACES = ("/mlflow/", "/mlflow-artifacts/")
"""Parts of the addresses at which a tracking server answers with JSON objects."""
NAMES = {
    "/runs/create": ("run", "info", "run_id"),
    "/runs/get": ("run", "info", "run_id"),
    "/runs/update": ("run_info", "run_id"),
    "/experiments/create": ("experiment_id",),
    "/experiments/get": ("experiment", "experiment_id"),
    "/experiments/get-by-name": ("experiment", "experiment_id"),
}
"""Where an answer names the run or experiment that it is about, by the address's end."""
_request: Any = rest_utils._get_http_response_with_retries  # type: ignore[attr-defined]


def require_whole_answers() -> None:
    """Let MLflow's client of this process fail where an answer is broken, from now on."""
    rest_utils._get_http_response_with_retries = _request_whole  # type: ignore[attr-defined]


def _request_whole(
    method: str, url: str, max_retries: int, backoff_factor: float, *others: Any, **named: Any
) -> requests.Response:
    """Make a request, again while its answer is broken."""
    is_once = urlsplit(url).path.endswith(ONCE)
    file: Any = named.get("data")
    n_repetitions = max_retries if is_once else max(max_retries, N_REPETITIONS)
    for n_tries in count():
        if n_tries and file is not None:
            file.seek(0)  # the request before this one has read it
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
    """Check that an answer is a tracking server's, and about what was requested.

    Parameters
    ----------
    answer : to a request that succeeded
    question : parameters of the request

    Raises
    ------
    InvalidJSONError
        If a tracking server would have given another answer.
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
        raise InvalidJSONError(f"{path}: the answer is empty or not a tracking server's")
    keys = next((keys for end, keys in NAMES.items() if path.endswith(end)), None)
    if keys is None:
        return
    name: Any = found
    for key in keys:
        name = name.get(key) if isinstance(name, dict) else None
    if not name or question.get(keys[-1], name) != name:
        raise InvalidJSONError(f"{path}: the answer is not about what was requested")
