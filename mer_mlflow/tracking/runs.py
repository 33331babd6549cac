"""Finding runs: what a cross-validation's runs carry, and how they are found again."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
from enum import StrEnum
from itertools import count
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.entities import Experiment, LifecycleStage, Run
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.utils.mlflow_tags import MLFLOW_USER

from mer_mlflow.access import user_name
from mer_mlflow.deletions import deleted
from mer_mlflow.errors import DeletedError, ParameterError, TrackingError
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.client import settle
from mer_mlflow.tracking.database import database_file, mlflow_schema, prepare_database
from mer_mlflow.tracking.items import Tag
from mer_mlflow.tracking.outage import own_retries, patiently, unusable_store
from mer_mlflow.tracking.writer import batch, make_run, send

DEFAULT = "0"
"""Id of MLflow's default experiment."""
PAGE, MOST_PAGES = 1000, 1000
"""Runs of an answer, and answers to one search."""
SQLITE = "sqlite:///"
START_SECONDS = 60.0
"""Patience with a server at the start of a command, where its address may be wrong."""
FILE_SECONDS = 5.0
"""Patience with a file: two commands that make its tables at once are in each other's way."""


class Kind(StrEnum):
    """Value of the tag ``mer.kind``."""

    PARENT = "cross-validation"
    FOLD = "fold"
    PREPARE = "prepare"
    REPORT = "report"
    AUGMENT = "augment"
    SEARCH = "search"
    STUDY = "study"


class Status(StrEnum):
    """Value of the tag ``mer.status`` of a parent run.

    ``complete`` alone is ever reported as a result; ``superseded`` gave its folds to a later run,
    ``duplicate`` found everything done by an earlier one, ``pruned`` was given up by a search.
    """

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    PRUNED = "pruned"
    FAILED = "failed"


def check_store() -> None:
    """Make sure that the tracking store answers, before anything long is begun.

    Raises
    ------
    TrackingError
        If it does not.
    """
    settle()
    prepare_database(mlflow.get_tracking_uri(), mlflow_schema())
    is_file = mlflow.get_tracking_uri().startswith(SQLITE)
    most = FILE_SECONDS if is_file else START_SECONDS
    try:
        with own_retries():
            patiently(lambda: MlflowClient().search_experiments(max_results=1), most=most)
    except TrackingError:
        raise
    except Exception as error:
        raise unusable_store(error) from error


def is_untouched(uri: str) -> bool:
    """Tell whether a tracking store is a local file that is not there: asking it would make it."""
    path = database_file(uri)
    return path is not None and not path.exists()


def open_run(client: MlflowClient, *, name: str, is_main: bool = True) -> Run:
    """Open the run that ``mlflow run`` made, or make one.

    Parameters
    ----------
    client : of the tracking server
    name : of the run
    is_main : whether the run is the command's own; else it is a new one in the same experiment

    Returns
    -------
    the run of ``MLFLOW_RUN_ID``, else a new one in ``MLFLOW_EXPERIMENT_NAME`` or ``Default``
    """
    settle()
    with own_retries():
        given = os.environ.get("MLFLOW_RUN_ID") if is_main else None
        run_id = given or _new_run(client, name)
        if given:
            patiently(lambda: client.update_run(run_id, name=name))
        run = patiently(lambda: client.get_run(run_id))
    _log_ahead(client.tracking_uri)
    return run


def _new_run(client: MlflowClient, name: str) -> str:
    experiment = patiently(lambda: current_experiment(client))
    mark, start_time, tries = uuid.uuid4().hex, int(time.time() * 1000), count()
    return patiently(
        lambda: make_run(
            client,
            experiment,
            name=name,
            start_time=start_time,
            tags={MLFLOW_USER: user_name()},
            mark=mark,
            was_tried=next(tries) > 0,
        )
    )


def current_experiment(client: MlflowClient) -> str:
    """Id of the experiment that this command's run belongs to."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        return str(client.get_run(run_id).info.experiment_id)
    return experiment_id(client, os.environ.get("MLFLOW_EXPERIMENT_NAME"))


def adopt_trial(run_id: str, tags: Mapping[str, str]) -> None:
    """Let a search's trial count as trained, because a training found it complete.

    Parameters
    ----------
    run_id : parent run that a training turned out to be
    tags : further tags of that training
    """
    client = MlflowClient()
    with own_retries():
        if schema.TRIAL not in patiently(lambda: client.get_run(run_id)).data.tags:
            return
        trained = batch(
            Tag(key=key, value=value) for key, value in {schema.TRAINED: "true", **tags}.items()
        )
        patiently(lambda: send(client, run_id, trained))


def _log_ahead(uri: str) -> None:
    """Let a sqlite store be read while it is written, and halve the cost of a commit."""
    if not uri.startswith(SQLITE) or "?" in uri:
        return
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(uri.removeprefix(SQLITE))) as database,
    ):
        database.execute("PRAGMA journal_mode=WAL")


def experiment_id(client: MlflowClient, name: str | None, *, create: bool = True) -> str:
    """Id of an experiment.

    Parameters
    ----------
    client : of the tracking server
    name : of the experiment, None for that of ``MLFLOW_EXPERIMENT_ID``, else MLflow's default one
    create : whether to create it where it is missing

    Raises
    ------
    DeletedError
        If it was deleted.
    ParameterError
        If there is no such experiment and none may be created.
    """
    if name is None:
        return _given_experiment(client, os.environ.get("MLFLOW_EXPERIMENT_ID") or DEFAULT)
    experiment = client.get_experiment_by_name(name)
    if experiment is not None:
        return _live_experiment(experiment)
    if not create:
        known = ", ".join(sorted(item.name for item in client.search_experiments()))
        raise ParameterError(f"experiment={name}: no such experiment (there are: {known})")
    try:
        return str(client.create_experiment(name))
    except MlflowException:  # another process may have created it
        if client.get_experiment_by_name(name) is None:
            raise
        return experiment_id(client, name, create=False)


def _given_experiment(client: MlflowClient, key: str) -> str:
    try:
        return _live_experiment(client.get_experiment(key))
    except MlflowException as error:
        if not is_missing(error):
            raise
        raise ParameterError(f"MLFLOW_EXPERIMENT_ID={key}: no such experiment") from error


def _live_experiment(experiment: Experiment) -> str:
    if experiment.lifecycle_stage != LifecycleStage.ACTIVE:
        words = deleted("experiment", experiment.experiment_id)
        raise DeletedError(f"experiment={experiment.name}: {words}, or name another one")
    return str(experiment.experiment_id)


def live_run(client: MlflowClient, run_id: str) -> Run | None:
    """A run, None where it was deleted."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None
    return run if run.info.lifecycle_stage == LifecycleStage.ACTIVE else None


def is_missing(error: MlflowException) -> bool:
    """Tell whether a server answers that it does not have what was requested."""
    return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))


def require_experiment(client: MlflowClient, experiment: str) -> None:
    """Check that an experiment may be written to.

    Raises
    ------
    DeletedError
        If it was deleted.
    """
    if client.get_experiment(experiment).lifecycle_stage != LifecycleStage.ACTIVE:
        raise DeletedError(deleted("experiment", experiment))


def search(
    client: MlflowClient, experiment: str, *, is_running: bool = False, **tags: str
) -> Iterator[Run]:
    """Find the runs of an experiment that carry all of these tags.

    Parameters
    ----------
    client : of the tracking server
    experiment : id of the experiment
    is_running : whether to find only those that are not closed
    tags : values by the tag's name without ``mer.``

    Raises
    ------
    TrackingError
        If the server gives pages without end.
    """
    conditions = ["attributes.status = 'RUNNING'"] * is_running
    conditions += [f"tags.`{schema.TAGS}{key}` = '{value}'" for key, value in tags.items()]
    condition = " and ".join(conditions)
    token: str | None = None
    for _ in range(MOST_PAGES):
        page: Any = client.search_runs(
            [experiment], filter_string=condition, max_results=PAGE, page_token=token
        )
        yield from page
        token = page.token
        if not token:
            return
    raise TrackingError(
        f"experiment {experiment} has more than {MOST_PAGES * PAGE} runs; use several experiments"
    )
