"""Writing to MLflow in few requests."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlflow import MlflowClient, entities

from mer_mlflow.scratch import scratch_folder
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.items import File, Item, Metric, Param, Tag


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Values and files of a run; sending a batch again has no further effect.

    Attributes
    ----------
    metrics : (key, value, Unix time [ms], step)
    params : parameters; they may be sent again only with the same values
    tags : tags
    files : artifacts
    """

    metrics: tuple[tuple[str, float, int, int], ...]
    params: Mapping[str, str]
    tags: Mapping[str, str]
    files: tuple[File, ...]


def batch(items: Iterable[Item]) -> Batch:
    """Combine items to a batch, with the current time."""
    now = int(time.time() * 1000)
    every = list(items)
    return Batch(
        metrics=tuple(
            (item.key, item.value, now, item.step) for item in every if isinstance(item, Metric)
        ),
        params={item.key: item.value for item in every if isinstance(item, Param)},
        tags={item.key: item.value for item in every if isinstance(item, Tag)},
        files=tuple(item for item in every if isinstance(item, File)),
    )


def write(client: MlflowClient, run_id: str, items: Iterable[Item]) -> None:
    """Write items to a run.

    Parameters
    ----------
    client : client of the tracking server
    run_id : id of the run
    items : items to write; parameters may be written again only with the same values
    """
    send(client, run_id, batch(items))


def send(client: MlflowClient, run_id: str, content: Batch) -> None:
    """Send a batch to a run: one request for the values, one for each folder of files.

    Parameters
    ----------
    client : client of the tracking server
    run_id : id of the run
    content : batch, as returned by :func:`batch`
    """
    if content.metrics or content.params or content.tags:
        client.log_batch(
            run_id,
            metrics=[entities.Metric(*each) for each in content.metrics],
            params=[entities.Param(*each) for each in content.params.items()],
            tags=[entities.RunTag(*each) for each in content.tags.items()],
        )
    if content.files:
        _send_files(client, run_id, content.files)


def make_run(
    client: MlflowClient,
    experiment_id: str,
    *,
    name: str,
    start_time: int,
    tags: Mapping[str, str],
    mark: str,
    was_tried: bool,
) -> str:
    """Create a run only once, although the response of the server may be lost.

    Parameters
    ----------
    client : client of the tracking server
    experiment_id : experiment of the run
    name : name of the run
    start_time : Unix time [ms]
    tags : tags of the run
    mark : unique mark of the run
    was_tried : whether the run may exist already

    Returns
    -------
    id of the run
    """
    if was_tried and (made := marked_runs(client, experiment_id, mark)):
        return made[0]
    run = client.create_run(
        experiment_id, start_time=start_time, tags={**tags, schema.MADE_BY: mark}, run_name=name
    )
    return str(run.info.run_id)


def marked_runs(client: MlflowClient, experiment_id: str, mark: str) -> list[str]:
    """Return the ids of the runs with a mark; several if a response came too late."""
    found = client.search_runs([experiment_id], filter_string=f"tags.`{schema.MADE_BY}` = '{mark}'")
    return sorted(str(run.info.run_id) for run in found)


def _send_files(client: MlflowClient, run_id: str, files: Iterable[File]) -> None:
    with scratch_folder() as folder:
        for file in files:
            path = folder / file.name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(file.content)
        client.log_artifacts(run_id, str(folder))
