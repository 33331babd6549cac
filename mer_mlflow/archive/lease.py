"""Lease: one import at a time into an experiment.

An import announces itself in a tag of its own, and only then looks for others: of two that begin
at once, one at least sees the other. None works while it sees another one that lives. An import on
another machine that was silent for two minutes counts as dead; should it wake, both work. Trainings
take no lease: one that begins while its runs are brought up to an archive is not seen.
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
    announced,
    is_alive,
    process_tags,
    process_words,
)

PATIENCE_SECONDS = 10.0
"""How long the earlier one of two that begin at once waits for the other to give way."""
PAUSE_SECONDS = 0.1
FAILURES = (MlflowException, requests.RequestException)


@contextmanager
def lease(client: MlflowClient, experiment: str) -> Iterator[None]:
    """Be the only import into an experiment.

    Parameters
    ----------
    client : of the tracking server
    experiment : id of the experiment

    Raises
    ------
    RunInProgressError
        If another one is at work.
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
        _wait(client, experiment, (announced(tags), key))
        yield
    finally:
        ended.set()
        thread.join(PAUSE_SECONDS)
        with suppress(*FAILURES):  # a claim whose process has ended stops nobody
            client.delete_experiment_tag(experiment, key)


def _wait(client: MlflowClient, experiment: str, mine: tuple[float, str]) -> None:
    end = time.monotonic() + PATIENCE_SECONDS
    while others := _others(client, experiment, mine[1]):
        theirs, tags = min(others.items())
        if theirs < mine or time.monotonic() > end:
            raise RunInProgressError(
                f"another import into this experiment is at work ({process_words(tags)}); "
                "wait for it, or stop it and try again"
            )
        time.sleep(PAUSE_SECONDS)


def _others(
    client: MlflowClient, experiment: str, mine: str
) -> dict[tuple[float, str], dict[str, str]]:
    """Claims of other imports that live, by when they were made; those of dead ones are deleted."""
    found = {}
    for key, text in client.get_experiment(experiment).tags.items():
        if not key.startswith(schema.IMPORTING) or key == mine:
            continue
        tags = dict(read_facts(text))
        if is_alive(tags):
            found[announced(tags), key] = tags
        else:
            with suppress(MlflowException):  # another import deleted it first
                client.delete_experiment_tag(experiment, key)
    return found
