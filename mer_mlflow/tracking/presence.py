"""Presence: which process works on a command's run, and the runs that killed processes left.

A killed process cannot close its runs, which would stay at work for ever. Each command says which
process works on its run and gives a sign of life every half minute, so that the next one can close
what is left, and never closes what another process works on, on this machine or elsewhere.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mer_mlflow.tracking import schema
from mer_mlflow.tracking.environment import (
    HEARTBEAT_SECONDS,
    is_alive,
    process_tags,
    process_words,
)
from mer_mlflow.tracking.items import Tag
from mer_mlflow.tracking.outage import own_retries, patiently
from mer_mlflow.tracking.runs import Kind, Status, search
from mer_mlflow.tracking.writer import batch, send

LEAVING_SECONDS = 5.0
"""Time that a sign of life may still wait for an answer."""


@contextlib.contextmanager
def announced(client: MlflowClient, run_id: str, *, kind: Kind, **tags: str) -> Iterator[None]:
    """Say in a run that this process works on it, for as long as it does.

    Parameters
    ----------
    client : of the tracking server
    run_id : the run
    kind : value of the tag ``mer.kind``
    tags : further values by the tag's name without ``mer.``
    """
    own = {schema.KIND: str(kind), **{f"{schema.TAGS}{key}": value for key, value in tags.items()}}
    content = batch(Tag(key=key, value=value) for key, value in (own | process_tags()).items())
    with own_retries():
        patiently(lambda: send(client, run_id, content))
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(Exception):  # the next one may arrive
                client.set_tag(run_id, schema.HEARTBEAT, str(time.time()))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LEAVING_SECONDS)


@contextlib.contextmanager
def at_work(client: MlflowClient, run_id: str, *, kind: Kind, **tags: str) -> Iterator[None]:
    """As :func:`announced`, and close the run as failed where an error ends the work.

    Parameters
    ----------
    client, run_id, kind, tags : as of :func:`announced`
    """
    try:
        with announced(client, run_id, kind=kind, **tags):
            yield
    except BaseException:
        with contextlib.suppress(Exception), own_retries():  # the first error is the one to report
            client.set_terminated(run_id, "FAILED")
        raise


def close_abandoned(
    client: MlflowClient,
    experiment: str,
    *,
    kind: Kind,
    but: str,
    as_status: Status = Status.INTERRUPTED,
    **tags: str,
) -> None:
    """Close the runs that processes which have ended left at work, with the runs of their folds.

    Parameters
    ----------
    client : of the tracking server
    experiment : id of the experiment
    kind, tags : which runs; values by the tag's name without ``mer.``
    but : id of a run to leave alone
    as_status : ``mer.status`` of those that were marked as running
    """
    wanted = {f"{schema.TAGS}{key}": value for key, value in tags.items()}
    left = [
        run.info.run_id
        for run in _abandoned(client, experiment, kind=kind)
        if run.info.run_id != but and wanted.items() <= run.data.tags.items()
    ]
    for run_id in left:
        with contextlib.suppress(MlflowException):  # it may have been deleted
            _close(client, run_id, as_status)
    if kind == Kind.PARENT and left:
        for fold in list(search(client, experiment, is_running=True, kind=Kind.FOLD)):
            if fold.data.tags.get(MLFLOW_PARENT_RUN_ID) in left:
                with contextlib.suppress(MlflowException):
                    client.set_terminated(fold.info.run_id, "KILLED")


def abandoned_words(client: MlflowClient, experiment: str) -> list[str]:
    """Name the runs of an experiment that processes which have ended left at work.

    Parameters
    ----------
    client : of the tracking server
    experiment : id of the experiment

    Returns
    -------
    a line for each
    """
    return [
        f"run {run.info.run_id} ({run.info.run_name}) is left RUNNING by a process that has ended "
        f"({process_words(run.data.tags)}); the same command closes it"
        for run in _abandoned(client, experiment)
    ]


def _abandoned(client: MlflowClient, experiment: str, **tags: str) -> list[Run]:
    running = search(client, experiment, is_running=True, **tags)
    return [run for run in running if schema.PID in run.data.tags and not is_alive(run.data.tags)]


def _close(client: MlflowClient, run_id: str, status: Status) -> None:
    run = client.get_run(run_id)
    if run.info.status != "RUNNING":  # another process closed it meanwhile
        return
    client.set_terminated(run_id, "KILLED")
    if run.data.tags.get(schema.STATUS) == Status.RUNNING:
        client.set_tag(run_id, schema.STATUS, str(status))
