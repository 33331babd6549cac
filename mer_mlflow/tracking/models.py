"""Logged models of an experiment, and those that an interrupted process has left unfinished."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from mer_mlflow.errors import TrackingError
from mer_mlflow.tracking.runs import MOST_PAGES, Kind, is_missing
from mer_mlflow.tracking.schema import IMPORTED_FROM, KIND

READY = "READY"
"""Status of a version that is complete."""
PAGE = 50
"""Models per page."""


def search_models(client: MlflowClient, experiment: str) -> Iterator[LoggedModel]:
    """Find the logged models of an experiment that were made by a run.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment

    Raises
    ------
    TrackingError
        If there are too many pages of results.
    """
    token: str | None = None
    for _ in range(MOST_PAGES):
        page: Any = client.search_logged_models([experiment], max_results=PAGE, page_token=token)
        yield from (model for model in page if model.source_run_id)
        token = page.token
        if not token:
            return
    raise TrackingError(
        f"experiment {experiment} has more than {MOST_PAGES * PAGE} models; use several experiments"
    )


def close_unfinished(client: MlflowClient, experiment: str, *, but: str) -> None:
    """Mark models as failed whose ``fit`` has ended before all their files were written.

    Models that an interrupted import has left are completed by the next import.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    but : id of the run whose models are not changed
    """
    for model in list(search_models(client, experiment)):
        is_pending = model.status == LoggedModelStatus.PENDING
        if not is_pending or model.source_run_id == but or IMPORTED_FROM in model.tags:
            continue
        if _has_ended(client, str(model.source_run_id)):
            with contextlib.suppress(MlflowException):  # it may have been deleted
                client.finalize_logged_model(model.model_id, LoggedModelStatus.FAILED)


def file_sizes(client: MlflowClient, model_id: str) -> dict[str, int | None]:
    """Return the sizes of a model's files by name [bytes]; None if the store does not know it.

    Parameters
    ----------
    client : client of the tracking server
    model_id : id of the model
    """
    found: dict[str, int | None] = {}
    folders: list[str | None] = [None]
    while folders:
        for each in client.list_logged_model_artifacts(model_id, folders.pop()):
            if each.is_dir:
                folders.append(each.path)
            else:
                found[each.path] = each.file_size
    return found


def lacks_files(client: MlflowClient, model_id: str, sizes: Mapping[str, int]) -> bool:
    """Return whether files of a model are missing on the server, although it confirmed them.

    Parameters
    ----------
    client : client of the tracking server
    model_id : id of the model
    sizes : expected sizes by name [bytes]
    """
    found = file_sizes(client, model_id)
    return any(name not in found or found[name] not in (None, size) for name, size in sizes.items())


def versions_of(client: MlflowClient, model: LoggedModel) -> list[ModelVersion]:
    """Return the versions in the model registry that are a logged model, by number."""
    condition = f"run_id = '{model.source_run_id}'"
    found: list[ModelVersion] = []
    token: str | None = None
    while True:
        page: Any = client.search_model_versions(condition, page_token=token)
        found += [each for each in page if each.source == model.model_uri and each.status == READY]
        token = page.token
        if not token:
            return sorted(found, key=lambda each: (each.name, int(each.version)))


def _has_ended(client: MlflowClient, run_id: str) -> bool:
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        if not is_missing(error):
            raise
        return False
    return run.data.tags.get(KIND) == Kind.FIT and run.info.status != "RUNNING"
