"""Creation and search of runs."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import uuid
from collections.abc import Iterator, Mapping
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
from mer_mlflow.tracking.client import configure
from mer_mlflow.tracking.database import database_file, mlflow_schema, prepare_database
from mer_mlflow.tracking.environment import SOURCE_TAGS
from mer_mlflow.tracking.items import Tag
from mer_mlflow.tracking.kinds import Kind as Kind
from mer_mlflow.tracking.kinds import Status as Status
from mer_mlflow.tracking.outage import retry, unusable_store, without_client_retries
from mer_mlflow.tracking.views import keep_views
from mer_mlflow.tracking.writer import batch, make_run, send

DEFAULT = "0"
"""Id of MLflow's default experiment."""
PAGE, MOST_PAGES = 1000, 1000
"""Runs per page, and maximum number of pages of a search."""
SQLITE = "sqlite:///"
START_SECONDS = 60.0
"""Time to wait for a server at the start of a command, because its address may be wrong."""
FILE_SECONDS = 5.0
"""Time to wait for a database file, whose tables another command may be creating."""


def check_store() -> None:
    """Check that the tracking store is available, before a long computation.

    Raises
    ------
    TrackingError
        If it is not available.
    """
    configure()
    prepare_database(mlflow.get_tracking_uri(), mlflow_schema())
    is_file = mlflow.get_tracking_uri().startswith(SQLITE)
    most = FILE_SECONDS if is_file else START_SECONDS
    try:
        with without_client_retries():
            retry(lambda: MlflowClient().search_experiments(max_results=1), most=most)
    except TrackingError:
        raise
    except Exception as error:
        raise unusable_store(error) from error


def is_untouched(uri: str) -> bool:
    """Return whether a tracking store is a local file that does not exist; any request would
    create it."""
    path = database_file(uri)
    return path is not None and not path.exists()


def open_run(client: MlflowClient, *, name: str, is_main: bool = True) -> Run:
    """Return the run created by ``mlflow run``, or create one.

    Parameters
    ----------
    client : client of the tracking server
    name : name of the run
    is_main : whether it is the command's own run; else a new one in the same experiment is created

    Returns
    -------
    the run of ``MLFLOW_RUN_ID``, else a new one in ``MLFLOW_EXPERIMENT_NAME`` or ``Default``
    """
    configure()
    with without_client_retries():
        given = os.environ.get("MLFLOW_RUN_ID") if is_main else None
        run_id = given or _new_run(client, name)
        if given:
            retry(lambda: client.update_run(run_id, name=name))
        run = retry(lambda: client.get_run(run_id))
        if is_main:
            keep_views(client, str(run.info.experiment_id))
    _log_ahead(client.tracking_uri)
    return run


def _new_run(client: MlflowClient, name: str) -> str:
    experiment = retry(lambda: current_experiment(client))
    mark, start_time, tries = uuid.uuid4().hex, int(time.time() * 1000), count()
    return retry(
        lambda: make_run(
            client,
            experiment,
            name=name,
            start_time=start_time,
            tags={MLFLOW_USER: user_name(), **SOURCE_TAGS},
            mark=mark,
            was_tried=next(tries) > 0,
        )
    )


def current_experiment(client: MlflowClient) -> str:
    """Return the id of the experiment of this command's run."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        return str(client.get_run(run_id).info.experiment_id)
    return experiment_id(client, os.environ.get("MLFLOW_EXPERIMENT_NAME"))


def adopt_trial(run_id: str, tags: Mapping[str, str]) -> None:
    """Mark a complete trial of a search as trained too, because a training has the same identity.

    Parameters
    ----------
    run_id : parent run of the trial
    tags : further tags of the training
    """
    client = MlflowClient()
    with without_client_retries():
        known = retry(lambda: client.get_run(run_id)).data.tags
        if schema.TRIAL not in known:
            return
        trained = batch(
            Tag(key=key, value=value) for key, value in {schema.TRAINED: "true", **tags}.items()
        )
        retry(lambda: send(client, run_id, trained))
        if schema.TRIAL_ONLY in known:
            retry(lambda: _delete_tag(client, run_id, schema.TRIAL_ONLY))


def _delete_tag(client: MlflowClient, run_id: str, key: str) -> None:
    """Delete a tag, unless that was done already, perhaps by a request whose answer was lost."""
    try:
        client.delete_tag(run_id, key)
    except MlflowException as error:
        if not is_missing(error):
            raise


def _log_ahead(uri: str) -> None:
    """Use a write-ahead log in a sqlite store: reads work during writes, and commits are faster."""
    if not uri.startswith(SQLITE) or "?" in uri:
        return
    with (
        contextlib.suppress(sqlite3.OperationalError),
        contextlib.closing(sqlite3.connect(uri.removeprefix(SQLITE))) as database,
    ):
        database.execute("PRAGMA journal_mode=WAL")


def experiment_id(client: MlflowClient, name: str | None, *, create: bool = True) -> str:
    """Return the id of an experiment.

    Parameters
    ----------
    client : client of the tracking server
    name : name of the experiment; None for ``MLFLOW_EXPERIMENT_ID``, or else MLflow's default
    create : whether to create a missing experiment

    Raises
    ------
    DeletedError
        If it was deleted.
    ParameterError
        If there is no such experiment and ``create`` is False.
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
        message = deleted("experiment", experiment.experiment_id)
        raise DeletedError(f"experiment={experiment.name}: {message}, or name another one")
    return str(experiment.experiment_id)


def live_run(client: MlflowClient, run_id: str) -> Run | None:
    """Return a run, None if it was deleted."""
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return None
    return run if run.info.lifecycle_stage == LifecycleStage.ACTIVE else None


def is_missing(error: MlflowException) -> bool:
    """Return whether an error means that the requested object does not exist."""
    return bool(error.error_code == ErrorCode.Name(RESOURCE_DOES_NOT_EXIST))


def require_experiment(client: MlflowClient, experiment: str) -> None:
    """Check that an experiment was not deleted.

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
    """Find the runs of an experiment that have all of these tags.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    is_running : whether to find only runs with the status RUNNING
    tags : values by the tag's name without ``mer.``

    Raises
    ------
    TrackingError
        If there are too many pages of results.
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
