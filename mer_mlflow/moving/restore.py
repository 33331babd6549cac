"""Import: an archive's runs into an experiment, under new ids, each of them once.

A run is made without ``mer.kind``, gets its values and artifacts, is closed, and gets its tags
last: nothing takes a half-written run for one of this project's. What an interrupted import left
is completed under the ids that it chose, because runs that it finished may name them.
"""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import count, groupby
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient, entities
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_USER

from mer_mlflow.access import refusal
from mer_mlflow.errors import ParameterError, TrackingError
from mer_mlflow.moving.archive import Archive, OnProgress
from mer_mlflow.moving.parallel import in_order, n_workers
from mer_mlflow.moving.record import Input, Record, from_json
from mer_mlflow.moving.text import Change, is_text, rewrite, with_ids
from mer_mlflow.tracking.runs import experiment_id, search

FROM, SOURCE, DIGEST = "mer.imported_from", "mer.imported_source", "mer.imported_sha256"
"""Tags: the run's id where it was made, the server and experiment that the archive was made of, and
the SHA-256 of all that the archive had of the run."""
KIND = "mer.kind"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What became of an archive's runs.

    Attributes
    ----------
    experiment_id : where they are
    n_new : runs that were written
    n_continued : those of them that an interrupted import had begun
    n_known : runs that were there already, and were left as they are
    n_changed : those of them that the archive has in another state than the one they came from
    """

    experiment_id: str
    n_new: int
    n_continued: int
    n_known: int
    n_changed: int


@dataclass(frozen=True, kw_only=True)
class _Head:
    """What is kept of each run in memory.

    Attributes
    ----------
    run_id : in the archive
    origin : id where the run was made, however often it has moved since
    depth : how many parents it has, one above the other
    """

    run_id: str
    origin: str
    depth: int


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Writes runs of an archive to an experiment, several at a time.

    Attributes
    ----------
    client : of the tracking server
    archive : that was verified
    experiment : id of the experiment
    lock : held while a dataset is written: MLflow fails where two runs bring a new one at once
    """

    client: MlflowClient
    archive: Archive
    experiment: str
    lock: AbstractContextManager[Any] = field(default_factory=threading.Lock)

    def make(self, head: _Head) -> str:
        """Make an empty run, and give its id."""
        record = _record(self.archive, head.run_id)
        tags = self._origin_tags(head)
        if MLFLOW_USER in record.tags:
            tags[MLFLOW_USER] = record.tags[MLFLOW_USER]
        with _told(head.run_id):
            run = self.client.create_run(
                self.experiment, start_time=record.start_time, tags=tags, run_name=record.name
            )
        return str(run.info.run_id)

    def fill(self, head: _Head, run_id: str, change: Change) -> None:
        """Write all that the archive has of a run; what is there already is written again."""
        record = _record(self.archive, head.run_id)
        client = self.client
        with _told(head.run_id):
            client.log_batch(run_id, metrics=_metrics(record), params=_params(record, change))
            if record.inputs:
                with self.lock:
                    client.log_inputs(run_id, [_input(given) for given in record.inputs])
            self._fill_artifacts(head, run_id, change)
            if record.end_time is None:
                client.update_run(run_id, status=record.status)
            else:
                client.set_terminated(run_id, record.status, record.end_time)
            client.log_batch(run_id, tags=self._tags(head, record, change))

    def _fill_artifacts(self, head: _Head, run_id: str, change: Change) -> None:
        artifacts = self.archive.artifacts(head.run_id)
        if not artifacts:
            return
        with tempfile.TemporaryDirectory() as folder:
            for name, member in artifacts.items():
                path = Path(folder) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    self.archive.copy(member, file)
                if is_text(name):
                    rewrite(path, change)
            self.client.log_artifacts(run_id, folder)

    def _tags(self, head: _Head, record: Record, change: Change) -> list[entities.RunTag]:
        """All tags, that by which runs are found last: they may be too many for one call."""
        values = {key: change(value) for key, value in record.tags.items()}
        values |= self._origin_tags(head) | {DIGEST: self.archive.digest(head.run_id)}
        values.pop(MLFLOW_RUN_NAME, None)  # follows from the name
        kind = values.pop(KIND)
        return [entities.RunTag(key, value) for key, value in {**values, KIND: kind}.items()]

    def _origin_tags(self, head: _Head) -> dict[str, str]:
        manifest = self.archive.manifest
        return {
            FROM: head.origin,
            SOURCE: f"experiment {manifest.experiment} of {manifest.tracking}",
        }


def restore_runs(
    client: MlflowClient,
    archive: Archive,
    experiment: str,
    *,
    on_progress: OnProgress = lambda done, total: None,
) -> Imported:
    """Write an archive's runs to an experiment; those that it has already are left as they are.

    Parameters
    ----------
    client : of the tracking server
    archive : that was verified
    experiment : name of the experiment, which is made where there is none
    on_progress : called with (done, total) steps: each run is made, and written when all are

    Returns
    -------
    what was written, and what was there already

    Raises
    ------
    ParameterError
        If the archive or the experiment cannot be used.
    TrackingError
        If the server does not take a run.
    """
    heads = _heads(archive)
    workers = n_workers(client)
    _check_space(archive, workers)
    home = _home(client, experiment)
    whole, begun = _present(client, home)
    writer = _Writer(client=client, archive=archive, experiment=home)
    known = [head for head in heads if head.origin in whole]
    new = [head for head in heads if head.origin not in whole]
    unmade = [head for head in new if head.origin not in begun]
    steps, n_steps = count(1), len(unmade) + len(new)
    ids = {head.run_id: str(whole[head.origin].info.run_id) for head in known}
    ids |= {head.run_id: begun[head.origin][0] for head in new if head.origin in begun}
    made = in_order(writer.make, unmade, workers=workers)
    for head, run_id in zip(unmade, made, strict=True):
        ids[head.run_id] = run_id
        on_progress(next(steps), n_steps)
    change = with_ids(ids, experiments=(archive.manifest.experiment_id, home))

    def fill(head: _Head) -> None:
        writer.fill(head, ids[head.run_id], change)

    for _, generation in groupby(new, key=lambda head: head.depth):
        for _ in in_order(fill, generation, workers=workers):
            on_progress(next(steps), n_steps)
    _delete_unused(client, home, {head.origin for head in new})
    return Imported(
        experiment_id=home,
        n_new=len(new),
        n_continued=len(new) - len(unmade),
        n_known=len(known),
        n_changed=sum(_has_changed(whole[head.origin], archive, head) for head in known),
    )


def _record(archive: Archive, run_id: str) -> Record:
    try:
        record = from_json(archive.record(run_id))
        if record.run_id != run_id or KIND not in record.tags:
            raise ValueError(f"its id is {record.run_id}, its kind {record.tags.get(KIND)}")
    except ValueError as error:
        raise archive.refused(f"the values of run {run_id} cannot be read ({error})") from error
    return record


def _heads(archive: Archive) -> list[_Head]:
    """Read every run once before the first is written: parents come first."""
    records = {}
    for run_id in archive.manifest.runs:
        tags = _record(archive, run_id).tags
        records[run_id] = (tags.get(FROM, run_id), tags.get(MLFLOW_PARENT_RUN_ID))
    parents = {run_id: parent for run_id, (_, parent) in records.items() if parent in records}
    heads = [
        _Head(run_id=run_id, origin=origin, depth=_depth(run_id, parents))
        for run_id, (origin, _) in records.items()
    ]
    return sorted(heads, key=lambda head: head.depth)


def _depth(run_id: str, parents: Mapping[str, str | None]) -> int:
    above: set[str] = set()
    parent = parents.get(run_id)
    while parent is not None and parent not in above:
        above.add(parent)
        parent = parents.get(parent)
    return len(above)


def _check_space(archive: Archive, workers: int) -> None:
    sizes: Sequence[int] = sorted(map(archive.size, archive.manifest.runs))
    needed, folder = sum(sizes[-workers:]), tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ParameterError(
            f"{folder}: {needed / 2**20:.0f} MiB are needed there to unpack runs and "
            f"{free / 2**20:.0f} are free; make room, or name another folder in TMPDIR"
        )


def _home(client: MlflowClient, name: str) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None and found.lifecycle_stage != "active":
        raise ParameterError(f"experiment={name}: was deleted; restore it, or name another one")
    try:
        return experiment_id(client, name)
    except MlflowException as error:
        if refusal(error):
            raise
        raise ParameterError(f"experiment={name}: cannot be made ({_first_line(error)})") from error


def _present(client: MlflowClient, home: str) -> tuple[dict[str, Run], dict[str, list[str]]]:
    """An experiment's runs by origin: those that are whole, and ids of those only begun."""
    whole: dict[str, Run] = {}
    begun: dict[str, list[str]] = {}
    for run in search(client, home):
        run_id, tags = str(run.info.run_id), run.data.tags
        if KIND in tags:
            whole[tags.get(FROM, run_id)] = run
        elif FROM in tags:
            begun.setdefault(tags[FROM], []).append(run_id)
    return whole, {origin: sorted(ids) for origin, ids in begun.items()}


def _delete_unused(client: MlflowClient, home: str, origins: set[str]) -> None:
    """Delete empty runs that a repeated request made beside the one that was filled."""
    if origins:
        for origin, run_ids in _present(client, home)[1].items():
            for run_id in run_ids if origin in origins else ():
                client.delete_run(run_id)


def _has_changed(run: Run, archive: Archive, head: _Head) -> bool:
    digest = run.data.tags.get(DIGEST)
    return digest is not None and digest != archive.digest(head.run_id)


@contextmanager
def _told(run_id: str) -> Iterator[None]:
    """Tell of a run that the server does not take, in one line."""
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if refusal(error):
            raise
        raise TrackingError(
            f"run {run_id} of the archive cannot be written ({_first_line(error)}); what was "
            "written stays: give the same command again to continue"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _metrics(record: Record) -> list[entities.Metric]:
    return [
        entities.Metric(key, figure.value, figure.timestamp, figure.step)
        for key, history in record.metrics.items()
        for figure in history
    ]


def _params(record: Record, change: Change) -> list[entities.Param]:
    return [entities.Param(key, change(value)) for key, value in record.params.items()]


def _input(given: Input) -> entities.DatasetInput:
    dataset = entities.Dataset(
        name=given.name,
        digest=given.digest,
        source_type=given.source_type,
        source=given.source,
        schema=given.schema,
        profile=given.profile,
    )
    return entities.DatasetInput(
        dataset, tags=[entities.InputTag(key, value) for key, value in given.tags.items()]
    )
