"""Writing log items to MLflow: the one place that talks to the server, in few calls."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from mlflow import MlflowClient, entities

from mer_mlflow.tracking.items import File, Item, Metric, Param, Tag


def write(client: MlflowClient, run_id: str, items: Iterable[Item]) -> None:
    """Write items to a run: one call for the values, one for the files.

    Parameters
    ----------
    client : of the tracking server
    run_id : the run
    items : what to write; parameters may be written again only with the same value
    """
    now = int(time.time() * 1000)
    metrics, params, tags, files = [], [], [], []
    for item in items:
        match item:
            case Metric():
                metrics.append(entities.Metric(item.key, item.value, now, item.step))
            case Param():
                params.append(entities.Param(item.key, item.value))
            case Tag():
                tags.append(entities.RunTag(item.key, item.value))
            case File():
                files.append(item)
    if metrics or params or tags:
        client.log_batch(run_id, metrics=metrics, params=params, tags=tags)
    if files:
        _write_files(client, run_id, files)


def _write_files(client: MlflowClient, run_id: str, files: Iterable[File]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            path = Path(folder) / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        client.log_artifacts(run_id, folder)
