"""Delivery of fitted models: a model is kept in a local folder until the tracking server has it.

If the server becomes unavailable, ``sync`` logs the model later, to the run of its ``fit``.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import mlflow
import requests
from filelock import FileLock, Timeout
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelStatus
from mlflow.exceptions import MlflowException

from mer_mlflow.deployment.logging import has_files, log_model, register
from mer_mlflow.deployment.serving import ARTIFACT
from mer_mlflow.errors import MerError, ModelError, UndeliveredError
from mer_mlflow.tracking.delivery import server_name
from mer_mlflow.tracking.environment import process_tags
from mer_mlflow.tracking.journal import journal_root
from mer_mlflow.tracking.models import search_models

FOLDER, ORDER = "models", "order.json"


@dataclass(frozen=True, kw_only=True)
class Order:
    """What is to be logged of a fitted model.

    Attributes
    ----------
    server : name of the tracking server
    run_id, experiment_id : run of the ``fit``
    tags, params, metrics : those of the logged model
    registered_name : name in the model registry, None for no registration
    process : process of the ``fit``
    """

    server: str
    run_id: str
    experiment_id: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    registered_name: str | None
    process: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class KeptModel:
    """A fitted model that waits for its delivery.

    Attributes
    ----------
    folder : its folder
    order : what is to be logged
    """

    folder: Path
    order: Order


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """A model on the tracking server.

    Attributes
    ----------
    address : address of the logged model
    registered : address of the registered version, None if it was not registered
    """

    address: str
    registered: str | None


def keep(model: Path, client: MlflowClient, **facts: Any) -> KeptModel:
    """Keep a fitted model for its delivery.

    Parameters
    ----------
    model : folder of the trained model; it is moved
    client : client of the tracking server
    facts : further attributes of :class:`Order`
    """
    order = Order(server=server_name(client.tracking_uri), process=process_tags(), **facts)
    folder = journal_root() / FOLDER / order.run_id
    folder.mkdir(parents=True)
    shutil.move(model, folder / ARTIFACT)
    draft = folder / f".{ORDER}"
    draft.write_text(json.dumps(asdict(order), indent=1))
    draft.rename(folder / ORDER)
    return KeptModel(folder=folder, order=order)


def kept_models() -> Iterator[KeptModel]:
    """Yield the models that wait for their delivery.

    Raises
    ------
    ModelError
        If one cannot be read.
    """
    for path in sorted((journal_root() / FOLDER).glob(f"*/{ORDER}")):
        try:
            yield KeptModel(folder=path.parent, order=Order(**json.loads(path.read_text())))
        except (OSError, ValueError, TypeError) as error:
            raise ModelError(f"{path}: cannot be read ({error}); remove its folder") from error


def deliver(client: MlflowClient, kept: KeptModel) -> Delivered:
    """Log a kept model to the run of its ``fit``, register it, and remove the folder.

    An attempt that was interrupted is continued: a complete model is not logged again.

    Parameters
    ----------
    client : client of the tracking server
    kept : the model

    Raises
    ------
    UndeliveredError
        If the server has not accepted everything; the model stays where it is.
    """
    folder = kept.folder
    advice = f"the fitted model is kept in {folder}: `mlflow run . -e sync` logs it"
    try:
        with FileLock(folder / ".lock", timeout=0):
            delivered = _deliver(client, folder / ARTIFACT, kept.order)
    except Timeout as error:
        raise UndeliveredError(f"another process delivers {folder}") from error
    except (MlflowException, requests.RequestException, OSError, MerError) as error:
        raise UndeliveredError(f"{' '.join(str(error).split())}; {advice}") from error
    shutil.rmtree(folder, ignore_errors=True)
    return delivered


def _deliver(client: MlflowClient, model: Path, order: Order) -> Delivered:
    logged = _logged(client, model, order)
    mlflow.log_metrics(dict(order.metrics), run_id=order.run_id, model_id=logged.model_id)
    number = None
    if order.registered_name is not None:
        number = register(client, logged, model, name=order.registered_name, tags=order.tags)
    client.set_terminated(order.run_id, "FINISHED")
    return Delivered(
        address=str(logged.model_uri),
        registered=None if number is None else f"models:/{order.registered_name}/{number}",
    )


def _logged(client: MlflowClient, model: Path, order: Order) -> LoggedModel:
    """Return the complete model of the run; it is logged if there is none."""
    for earlier in list(search_models(client, order.experiment_id)):
        if earlier.source_run_id != order.run_id:
            continue
        if earlier.status == LoggedModelStatus.READY and has_files(client, earlier, model):
            return earlier
        if earlier.status == LoggedModelStatus.PENDING:
            with contextlib.suppress(MlflowException):  # it may have been deleted
                client.finalize_logged_model(earlier.model_id, LoggedModelStatus.FAILED)
    with mlflow.start_run(run_id=order.run_id):
        return log_model(client, model, tags=order.tags, params=order.params)
