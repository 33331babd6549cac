"""Answers: one that is not a tracking server's, or not whole, is a failed request."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from mlflow import MlflowClient
from mlflow.entities import RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository

from mer_mlflow.tracking import answers, outage
from mer_mlflow.tracking.answers import check_answer
from mer_mlflow.tracking.client import configure
from mer_mlflow.tracking.outage import is_outage, reason, retry, without_client_retries

RUN, OTHER = "a" * 32, "b" * 32


def run_answer(run_id: str) -> dict[str, Any]:
    info = {"run_id": run_id, "run_uuid": run_id, "experiment_id": "0", "status": "RUNNING"}
    return {"run": {"info": info, "data": {}}, "run_info": info}


def whole_answer(path: str) -> bytes:
    if "/runs/" in path and not path.endswith(("/search", "/log-batch")):
        return json.dumps(run_answer(RUN)).encode()
    if "/experiments/" in path:
        found = {"experiment_id": "1", "name": "e", "lifecycle_stage": "active"}
        return json.dumps({"experiment_id": "1", "experiment": found}).encode()
    return b"{}"


class Server:
    """A tracking server behind a proxy that breaks the first answers."""

    def __init__(self) -> None:
        self.broken: list[tuple[int, bytes, int]] = []
        self.bodies: list[bytes] = []
        self.n_requests = 0
        server = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                server.bodies.append(self.rfile.read(length))
                server.n_requests += 1
                body = whole_answer(self.path.partition("?")[0])
                status, content, n_missing = 200, body, 0
                if server.broken:
                    status, content, n_missing = server.broken.pop()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content) + n_missing))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *words: Any) -> None:
                pass

            do_GET = do_POST = do_PUT = do_PATCH = answer

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture(autouse=True)
def settled() -> None:
    """MLflow's client as commands use it."""
    configure()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(answers, "PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(outage, "FIRST_PAUSE_SECONDS", 0.001)
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


BROKEN = {
    "empty": (200, b"", 0),
    "accepted": (202, b"", 0),
    "no content": (204, b"", 0),
    "words": (200, b"200 OK", 0),
    "page": (200, b"<html><body>Sign in</body></html>", 0),
    "half": (200, json.dumps(run_answer(RUN)).encode()[:40], 0),
    "list": (200, b"[]", 0),
    "broken off": (200, b'{"run": ', 400),
    "nothing arrives": (200, b"", 400),
}
CALLS: dict[str, Callable[[MlflowClient], Any]] = {
    "get_run": lambda client: client.get_run(RUN),
    "search_runs": lambda client: client.search_runs(["0"]),
    "create_run": lambda client: client.create_run("0"),
    "log_batch": lambda client: client.log_batch(RUN, tags=[RunTag("a", "b")]),
    "set_tag": lambda client: client.set_tag(RUN, "a", "b"),
    "set_terminated": lambda client: client.set_terminated(RUN),
    "get_experiment_by_name": lambda client: client.get_experiment_by_name("e"),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", BROKEN)
def test_broken_answers_are_asked_for_again(server: Server, kind: str, call: str) -> None:
    server.broken = 6 * [BROKEN[kind]]
    with without_client_retries():
        retry(lambda: CALLS[call](MlflowClient(server.address)))
    assert server.n_requests >= 7
    assert server.broken == []


@pytest.mark.parametrize("kind", BROKEN)
def test_mlflow_repeats_them_as_errors_where_it_repeats_those(
    server: Server, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "0")
    server.broken = 6 * [BROKEN[kind]]
    assert MlflowClient(server.address).get_run(RUN).info.run_id == RUN
    assert server.n_requests == 7


@pytest.mark.parametrize("kind", ["page", "half", "broken off"])
def test_files_that_were_not_taken_are_sent_again_from_their_start(
    server: Server, kind: str, tmp_path: Path
) -> None:
    (tmp_path / "a.csv").write_text("all of it")
    store = HttpArtifactRepository(f"{server.address}/api/2.0/mlflow-artifacts/artifacts/0/a")
    server.broken = [BROKEN[kind]]
    with without_client_retries():
        retry(lambda: store.log_artifact(str(tmp_path / "a.csv")))
    assert server.bodies == 2 * [b"all of it"]


def test_upload_is_answered_with_an_empty_body(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a")
    store = HttpArtifactRepository(f"{server.address}/api/2.0/mlflow-artifacts/artifacts/0/a")
    server.broken = [BROKEN["empty"]]
    with without_client_retries():
        store.log_artifact(str(tmp_path / "a.csv"))
    assert server.n_requests == 1


@pytest.mark.parametrize(
    ("call", "body"),
    [
        ("get_run", {}),
        ("get_run", run_answer(OTHER)),
        ("get_run", run_answer("")),
        ("get_run", {"run": None}),
        ("get_run", {"run": "a"}),
        ("create_run", {}),
        ("create_run", run_answer("")),
        ("set_terminated", {}),
        ("get_experiment_by_name", {"experiment": {}}),
    ],
)
def test_answers_about_something_else_are_broken(
    server: Server, call: str, body: dict[str, Any]
) -> None:
    server.broken = [(200, json.dumps(body).encode(), 0)]
    with without_client_retries():
        retry(lambda: CALLS[call](MlflowClient(server.address)))
    assert server.broken == []
    assert server.n_requests == 2


def test_error_says_that_the_answer_is_broken(server: Server) -> None:
    server.broken = 9 * [BROKEN["empty"]]
    with without_client_retries(), pytest.raises(MlflowException) as caught:
        MlflowClient(server.address).log_batch(RUN, tags=[RunTag("a", "b")])
    assert is_outage(caught.value)
    assert reason(caught.value) == "its responses are empty, truncated or from another server"


def test_request_that_makes_a_run_is_not_repeated_by_itself(server: Server) -> None:
    """Whether the first one made it has to be looked up before."""
    server.broken = [BROKEN["empty"]]
    with without_client_retries(), pytest.raises(MlflowException, match="the response is empty"):
        MlflowClient(server.address).create_run("0")
    assert server.n_requests == 1


def test_other_servers_answer_as_they_like() -> None:
    answer = requests.Response()
    answer.url, answer._content = "http://s3:9000/bucket/predictions.csv", b""
    check_answer(answer, {})
