"""Heartbeats of commands in their runs, and detection of runs of killed processes.

A killed process cannot close its runs, which would keep the status RUNNING. Each command records
its process and a heartbeat every half minute in tags of its run. The next command can then close
abandoned runs, but never a run of a living process, on this machine or elsewhere.
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
    describe_process,
    is_alive,
    process_tags,
    with_current_names,
)
from mer_mlflow.tracking.items import Tag
from mer_mlflow.tracking.outage import retry, without_client_retries
from mer_mlflow.tracking.runs import Kind, Status, search
from mer_mlflow.tracking.writer import batch, send

LEAVING_SECONDS = 5.0
"""Time to wait for the response to the last heartbeat."""


@contextlib.contextmanager
def heartbeat(client: MlflowClient, run_id: str, *, kind: Kind, **tags: str) -> Iterator[None]:
    """Write heartbeats of this process to a run, as long as the context is active.

    Parameters
    ----------
    client : client of the tracking server
    run_id : id of the run
    kind : value of the tag ``mer.kind``
    tags : further values by the tag's name without ``mer.``
    """
    own = {schema.KIND: str(kind), **{f"{schema.TAGS}{key}": value for key, value in tags.items()}}
    content = batch(Tag(key=key, value=value) for key, value in (own | process_tags()).items())
    with without_client_retries():
        retry(lambda: send(client, run_id, content))
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(HEARTBEAT_SECONDS):
            with contextlib.suppress(Exception):  # the next one may succeed
                client.set_tag(run_id, schema.HEARTBEAT, str(time.time()))

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(LEAVING_SECONDS)


@contextlib.contextmanager
def active_run(client: MlflowClient, run_id: str, *, kind: Kind, **tags: str) -> Iterator[None]:
    """Write heartbeats like :func:`heartbeat`, and close the run as failed if an error occurs.

    Parameters
    ----------
    client, run_id, kind, tags : as for :func:`heartbeat`
    """
    try:
        with heartbeat(client, run_id, kind=kind, **tags):
            yield
    except BaseException:
        # the original error is reported, not this one
        with contextlib.suppress(Exception), without_client_retries():
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
    """Close running runs, and the runs of their folds, if their process has ended.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    kind, tags : values to select runs, by the tag's name without ``mer.``
    but : id of a run that is not closed
    as_status : new ``mer.status`` of runs with the status running
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


def describe_abandoned(client: MlflowClient, experiment: str) -> list[str]:
    """Describe the running runs of an experiment whose process has ended.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment

    Returns
    -------
    one line per run
    """
    return [
        f"run {run.info.run_id} ({run.info.run_name}) is RUNNING, but its process has ended "
        f"({describe_process(run.data.tags)}); the same command closes it"
        for run in _abandoned(client, experiment)
    ]


def _abandoned(client: MlflowClient, experiment: str, **tags: str) -> list[Run]:
    running = search(client, experiment, is_running=True, **tags)
    processes = ((run, with_current_names(run.data.tags)) for run in running)
    return [run for run, tags in processes if schema.PID in tags and not is_alive(tags)]


def _close(client: MlflowClient, run_id: str, status: Status) -> None:
    run = client.get_run(run_id)
    if run.info.status != "RUNNING":  # another process closed it meanwhile
        return
    client.set_terminated(run_id, "KILLED")
    if run.data.tags.get(schema.STATUS) == Status.RUNNING:
        client.set_tag(run_id, schema.STATUS, str(status))
