"""Lease: lock of an experiment during an import.

An import writes a tag with its claim, and then reads the claims of others, so that at least one of
two concurrent imports detects the other. It does not start while another claim is alive. A claim
from another machine without a heartbeat for two minutes counts as dead; if that process resumes,
both imports run. Trainings have no lease: an import does not detect one that starts during an
update.
"""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mer_mlflow.arithmetic import read_facts
from mer_mlflow.errors import RunInProgressError
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.environment import (
    HEARTBEAT_SECONDS,
    describe_process,
    is_alive,
    process_tags,
    started_at,
)

PATIENCE_SECONDS = 10.0
"""Time that the earlier of two concurrent imports waits for the other one to stop."""
PAUSE_SECONDS = 0.1
FAILURES = (MlflowException, requests.RequestException)


@contextmanager
def lease(client: MlflowClient, experiment: str) -> Iterator[None]:
    """Lock an experiment for an import.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment

    Raises
    ------
    RunInProgressError
        If another import is running.
    """
    key, tags, ended = schema.IMPORTING + uuid.uuid4().hex, process_tags(), threading.Event()

    def announce() -> None:
        now = {schema.HEARTBEAT: str(time.time())}
        client.set_experiment_tag(experiment, key, json.dumps(tags | now))

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with suppress(*FAILURES):
                announce()

    announce()
    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        _wait(client, experiment, (started_at(tags), key))
        yield
    finally:
        ended.set()
        thread.join(PAUSE_SECONDS)
        with suppress(*FAILURES):  # a claim of an ended process blocks no other import
            client.delete_experiment_tag(experiment, key)


def _wait(client: MlflowClient, experiment: str, mine: tuple[float, str]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while others := _others(client, experiment, mine[1]):
        theirs, tags = min(others.items())
        if theirs < mine or time.monotonic() > end:
            raise RunInProgressError(
                f"another import into this experiment is running ({describe_process(tags)}); "
                "wait for it, or stop it and try again"
            )
        time.sleep(PAUSE_SECONDS)


def _others(
    client: MlflowClient, experiment: str, mine: str
) -> dict[tuple[float, str], dict[str, str]]:
    """Return the claims of running imports by time; claims of ended ones are deleted."""
    found = {}
    for key, text in client.get_experiment(experiment).tags.items():
        if not key.startswith(schema.IMPORTING) or key == mine:
            continue
        tags = dict(read_facts(text))
        if is_alive(tags):
            found[started_at(tags), key] = tags
        else:
            with suppress(MlflowException):  # another import deleted it first
                client.delete_experiment_tag(experiment, key)
    return found
