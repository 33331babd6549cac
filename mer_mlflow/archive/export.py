"""Export of this project's runs in an experiment, with their models, to an archive."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import DatasetInput, Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from mer_mlflow._version import __version__
from mer_mlflow.access import redacted
from mer_mlflow.archive.container import (
    ARTIFACTS,
    ArchiveWriter,
    Manifest,
    OnProgress,
    place_of,
    record_name,
    writing,
)
from mer_mlflow.archive.export_models import write_models
from mer_mlflow.archive.model_record import ModelRecord
from mer_mlflow.archive.parallel import in_order, n_workers, with_advice
from mer_mlflow.archive.record import ENDED, Figure, Input, Record, of_one_origin, origin, to_json
from mer_mlflow.archive.text import check_printable, is_text, rewrite, without_credentials
from mer_mlflow.errors import ParameterError, RunDataError
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.environment import with_current_names, without_process_id
from mer_mlflow.tracking.reading import LATEST, number
from mer_mlflow.tracking.runs import Kind, Status, search

CLOSED = {Kind.PARENT: Status.INTERRUPTED, Kind.STUDY: Status.INCOMPLETE}
"""Status of exported runs that are still running, as if their process were killed. Running runs of
other kinds are not exported, because they cannot be continued."""
ADVICE = "nothing was exported; correct or delete the run, or try again"


@dataclass(frozen=True, kw_only=True)
class Exported:
    """Summary of an export.

    Attributes
    ----------
    counts : number of runs of each kind, of models and their registered versions, and of artifacts
    closed : number of running runs that are exported as interrupted, by kind
    left_out : number of running runs that are not exported, by kind
    size : size of the archive, in bytes
    """

    counts: Mapping[str, int]
    closed: Mapping[str, int]
    left_out: Mapping[str, int]
    size: int


def export_runs(
    client: MlflowClient,
    experiment: str,
    target: Path,
    *,
    on_progress: OnProgress = lambda done, total: None,
) -> Exported:
    """Export an experiment's runs and their models to an archive; the server is not changed.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    target : path of the archive, which must not exist
    on_progress : called with (done, total) runs

    Returns
    -------
    summary of the export

    Raises
    ------
    ParameterError
        If there is nothing to export, or the archive cannot be written.
    TrackingError
        If a run or model cannot be read.
    """
    unread = with_advice(
        f"experiment {experiment} cannot be read", "nothing was exported; try again"
    )
    with writing(target) as (writer, staged), unread:
        name = str(client.get_experiment(experiment).name)
        check_printable("experiment", name)
        found = _found(client, experiment)
        runs = [run for run in found if _has_ended(run) or _kind(run) in CLOSED]
        if not runs:
            message = "has no finished runs of this project; nothing was exported"
            raise ParameterError(f"experiment={name}: {message}")
        twice = of_one_origin(_origins(runs))
        if twice is not None:
            raise ParameterError(f"experiment={name}: {twice}")
        fetch = partial(_fetch, client, staged)
        workers = n_workers(client)
        for done, record in enumerate(in_order(fetch, runs, workers=workers), start=1):
            _write(writer, record, staged / record.run_id)
            on_progress(done, len(runs))
        models = write_models(client, experiment, runs, writer, staged)
        counts = _counted(runs) | _counted_models(models)
        counts["artifacts"] = len(writer.members) - len(runs) - len(models)
        writer.close(
            Manifest(
                software={"mer_mlflow": __version__, "mlflow": metadata.version("mlflow")},
                exported=datetime.now(tz=UTC).isoformat(timespec="milliseconds"),
                tracking=without_credentials(redacted(client.tracking_uri)),
                experiment=name,
                experiment_id=experiment,
                counts=counts,
                runs=tuple(str(run.info.run_id) for run in runs),
                models=tuple(model.model_id for model in models),
                members=writer.members,
            )
        )
    return Exported(
        counts=counts,
        closed=_counted(run for run in runs if not _has_ended(run)),
        left_out=_counted(run for run in found if not _has_ended(run) and _kind(run) not in CLOSED),
        size=target.stat().st_size,
    )


def _found(client: MlflowClient, experiment: str) -> list[Run]:
    """Return all runs of this project, parents first.

    Folds are read before cross-validations, so that the parent of every fold is included.
    """
    kinds = (Kind.FOLD, *(kind for kind in Kind if kind not in (Kind.FOLD, Kind.PARENT)))
    found: dict[str, Run] = {}
    for kind in (*kinds, Kind.PARENT):
        for run in search(client, experiment, kind=kind):
            found.setdefault(str(run.info.run_id), run)
    return sorted(
        found.values(),
        key=lambda run: (
            MLFLOW_PARENT_RUN_ID in run.data.tags,
            run.info.start_time or 0,
            run.info.run_id,
        ),
    )


def _origins(runs: list[Run]) -> Iterator[tuple[str, str]]:
    for run in runs:
        yield str(run.info.run_id), origin(str(run.info.run_id), run.data.tags)


def _kind(run: Run) -> str:
    return str(run.data.tags[schema.KIND])


def _counted(runs: Iterator[Run] | list[Run]) -> dict[str, int]:
    return dict(Counter(_kind(run) for run in runs))


def _counted_models(models: tuple[ModelRecord, ...]) -> dict[str, int]:
    versions = [each.versions for model in models for each in model.registered.values()]
    counts = {"model": len(models), "registered version": sum(map(len, versions))}
    return {kind: count for kind, count in counts.items() if count}


def _has_ended(run: Run) -> bool:
    return run.info.status in ENDED and run.data.tags.get(schema.STATUS) != Status.RUNNING


def _fetch(client: MlflowClient, staged: Path, run: Run) -> Record:
    """Read a run, and download its artifacts to a folder with its id."""
    run_id = str(run.info.run_id)
    folder = staged / run_id
    folder.mkdir()
    with with_advice(f"run {run_id} cannot be read", ADVICE):
        if client.list_artifacts(run_id):
            client.download_artifacts(run_id, "", str(folder))
        metrics = {key: _history(client, run_id, key) for key in sorted(run.data.metrics)}
    for path in list(folder.rglob("*")):
        if path.is_file() and is_text(path.name):
            rewrite(path, without_credentials)
    return record_of(run, metrics)


def _history(client: MlflowClient, run_id: str, key: str) -> tuple[Figure, ...]:
    history = client.get_metric_history(run_id, key)
    return tuple(
        Figure(value=float(each.value), timestamp=int(each.timestamp), step=int(each.step))
        for each in history
    )


def record_of(run: Run, metrics: Mapping[str, tuple[Figure, ...]]) -> Record:
    """Return a run's values for an archive: closed, and without credentials.

    Parameters
    ----------
    run : the run
    metrics : histories of its metrics
    """
    info = run.info
    tags, status, end_time = dict(run.data.tags), str(info.status), info.end_time
    if not _has_ended(run):
        status, end_time = "KILLED", _last_sign(run)
        tags[schema.STATUS] = str(CLOSED.get(Kind(_kind(run)), Status.INTERRUPTED))
        tags = without_process_id(tags)  # on another machine, it is that of another process
    return Record(
        run_id=str(info.run_id),
        name=str(info.run_name),
        status=status,
        start_time=int(info.start_time or 0),
        end_time=None if end_time is None else int(end_time),
        params=_without_credentials(run.data.params),
        tags=_without_credentials(tags),
        metrics=metrics,
        inputs=tuple(_input(item) for item in (run.inputs.dataset_inputs if run.inputs else ())),
    )


def _last_sign(run: Run) -> int:
    """Return the time of a run's last heartbeat, else of its start [ms]."""
    started = int(run.info.start_time or 0)
    try:
        tags = with_current_names(run.data.tags)
        heartbeat = number(tags, schema.HEARTBEAT, low=0, high=LATEST, default=0)
    except RunDataError:
        return started
    return int(heartbeat * 1000) or started


def _without_credentials(texts: Mapping[str, str]) -> dict[str, str]:
    return {key: without_credentials(texts[key]) for key in sorted(texts)}


def _input(given: DatasetInput) -> Input:
    dataset = given.dataset
    return Input(
        name=dataset.name,
        digest=dataset.digest,
        source_type=dataset.source_type,
        source=without_credentials(dataset.source),
        schema=dataset.schema or None,
        profile=dataset.profile or None,
        tags={tag.key: tag.value for tag in given.tags},
    )


def _write(writer: ArchiveWriter, record: Record, folder: Path) -> None:
    """Write a run to the archive, and delete its temporary files."""
    values = json.dumps(to_json(record), allow_nan=False).encode()
    place = place_of(record.run_id)
    writer.add(record_name(record.run_id), io.BytesIO(values), size=len(values))
    files = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    for name in sorted(files):
        with files[name].open("rb") as source:
            writer.add(f"{place}/{ARTIFACTS}/{name}", source, size=files[name].stat().st_size)
    shutil.rmtree(folder)
