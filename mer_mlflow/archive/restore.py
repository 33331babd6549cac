"""Import of an archive's runs into an experiment, with new ids, each of them once.

A run is created without ``mer.kind``. Its values and artifacts are written, it is closed, and its
parameters and tags are written last. Therefore an incomplete run is never used as a run of this
project, and immutable values are not written before the rest. An interrupted import is continued
with the ids that it has assigned, because finished runs may refer to them.

Runs of an earlier archive are updated to a later one: all or none, because a tree of runs must have
one consistent state. The runs must not have been changed since, and the later archive must be of
the same experiment, because otherwise it is unknown which state is newer.

Logged models are created after all runs, because runs may refer to them, and written after them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import threading
from collections.abc import Collection, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import chain, count, groupby
from typing import Any

from mlflow import MlflowClient, entities
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_USER

from mer_mlflow.access import refusal
from mer_mlflow.archive.container import Archive, OnProgress
from mer_mlflow.archive.export import record_of
from mer_mlflow.archive.lease import lease
from mer_mlflow.archive.model_record import ModelRecord
from mer_mlflow.archive.parallel import in_order, n_workers, with_advice
from mer_mlflow.archive.record import Input, Record, from_json, of_one_origin, origin, to_json
from mer_mlflow.archive.restore_models import (
    ModelWriter,
    delete_unused_models,
    plan_models,
    read_models,
    register,
)
from mer_mlflow.archive.text import BLOCK, Change, changed, is_text, rewrite, with_ids
from mer_mlflow.errors import ParameterError
from mer_mlflow.scratch import scratch_folder
from mer_mlflow.tracking.outage import reason
from mer_mlflow.tracking.runs import experiment_id, search
from mer_mlflow.tracking.schema import (
    IMPORTED_FROM,
    IMPORTED_SHA256,
    IMPORTED_SOURCE,
    IMPORTED_STATE,
    IMPORTED_VERSION,
    KIND,
)

UNDER_WAY = "being written"
"""State of a run during its update."""
HERE_ONLY = (
    IMPORTED_FROM,
    IMPORTED_SOURCE,
    IMPORTED_VERSION,
    IMPORTED_SHA256,
    IMPORTED_STATE,
    MLFLOW_RUN_NAME,
)
"""Tags that do not describe the content of a run; its name is a separate value."""
ADVICE = "imported runs are kept: give the same command again to continue"


@dataclass(frozen=True, kw_only=True)
class Imported:
    """Summary of an import.

    Attributes
    ----------
    experiment_id : id of the target experiment
    n_new : number of written runs
    n_continued : number of those that an interrupted import had begun
    n_updated : number of runs of an earlier archive that were updated
    n_known : number of runs that existed already, and were not changed
    n_models : number of written models
    versions : registered versions, such as ``mer-svm/3``
    messages : a sentence for each alias that another version has already
    """

    experiment_id: str
    n_new: int
    n_continued: int
    n_updated: int
    n_known: int
    n_models: int
    versions: tuple[str, ...]
    messages: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class _Head:
    """Summary of a run, for all runs of an archive in memory.

    Attributes
    ----------
    run_id : id in the archive
    origin : original id, before any import
    depth : number of ancestors
    """

    run_id: str
    origin: str
    depth: int


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Writer of an archive's runs to an experiment, in parallel.

    Attributes
    ----------
    client : client of the tracking server
    archive : the archive
    experiment : id of the experiment
    digests : digest of each run in the archive
    lock : lock for datasets: MLflow fails if two runs add the same new dataset in parallel
    """

    client: MlflowClient
    archive: Archive
    experiment: str
    digests: Mapping[str, str]
    lock: AbstractContextManager[Any] = field(default_factory=threading.Lock)

    def make(self, head: _Head) -> str:
        """Create an empty run, and return its id."""
        record = _record(self.archive, head.run_id)
        tags = self._origin_tags(head)
        if MLFLOW_USER in record.tags:
            tags[MLFLOW_USER] = record.tags[MLFLOW_USER]
        with with_advice(f"run {head.run_id} of the archive cannot be created", ADVICE):
            run = self.client.create_run(
                self.experiment, start_time=record.start_time, tags=tags, run_name=record.name
            )
        return str(run.info.run_id)

    def fill(self, head: _Head, run_id: str, change: Change, stale: Run | None) -> None:
        """Write the complete content of a run, also values that exist already.

        Parameters
        ----------
        head : summary of the run
        run_id : id of the target run
        change : function that replaces ids in texts
        stale : complete run of an earlier archive, None if there is none
        """
        record = _mapped(_record(self.archive, head.run_id), change)
        tags = {
            **record.tags,
            **self._origin_tags(head),
            IMPORTED_SHA256: self.digests[head.run_id],
        }
        # tags that identify runs are written last: all tags may be too many for one request
        tags |= {IMPORTED_STATE: _state(record), KIND: tags.pop(KIND)}
        client = self.client
        with with_advice(f"run {head.run_id} of the archive cannot be written", ADVICE):
            if stale is not None:
                begun = {
                    IMPORTED_STATE: UNDER_WAY,
                    IMPORTED_VERSION: tags[IMPORTED_VERSION],
                }
                client.log_batch(run_id, tags=[entities.RunTag(*each) for each in begun.items()])
                client.update_run(run_id, name=record.name)
                for key in stale.data.tags.keys() - tags.keys() - {MLFLOW_RUN_NAME}:
                    client.delete_tag(run_id, key)
            client.log_batch(run_id, metrics=_metrics(record))
            if record.inputs:
                with self.lock:
                    client.log_inputs(run_id, [_input(given) for given in record.inputs])
            self._fill_artifacts(head, run_id, change)
            if record.end_time is None:
                client.update_run(run_id, status=record.status)
            else:
                client.set_terminated(run_id, record.status, record.end_time)
            client.log_batch(
                run_id,
                params=[entities.Param(*each) for each in record.params.items()],
                tags=[entities.RunTag(*each) for each in tags.items()],
            )

    def _fill_artifacts(self, head: _Head, run_id: str, change: Change) -> None:
        artifacts = self.archive.artifacts(head.run_id)
        if not artifacts:
            return
        with scratch_folder() as folder:
            for name, member in artifacts.items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    self.archive.copy(member, file)
                if is_text(name):
                    rewrite(path, change)
            self.client.log_artifacts(run_id, str(folder))

    def _origin_tags(self, head: _Head) -> dict[str, str]:
        manifest = self.archive.manifest
        return {
            IMPORTED_FROM: head.origin,
            IMPORTED_VERSION: _version(self.archive, head),
            IMPORTED_SOURCE: f"experiment {manifest.experiment} of {manifest.tracking}",
        }


def restore_runs(
    client: MlflowClient,
    archive: Archive,
    experiment: str,
    *,
    on_progress: OnProgress = lambda done, total: None,
) -> Imported:
    """Import an archive's runs and models into an experiment, each of them once.

    Runs of an earlier archive are updated. If that is impossible, because they were changed since,
    nothing is written. Models that exist already are not changed.

    Parameters
    ----------
    client : client of the tracking server
    archive : the archive
    experiment : name of the experiment, which is created if necessary
    on_progress : called with (done, total) steps: all runs and models are created, then written

    Returns
    -------
    summary of the import

    Raises
    ------
    ParameterError
        If the archive or the experiment cannot be used.
    RunInProgressError
        If another import into the experiment is running.
    TrackingError
        If the server rejects a run or model.
    """
    heads, models = _heads(archive), read_models(archive)
    with with_advice(f"experiment={experiment}: cannot be written to", ADVICE):
        experiment_id = _target_experiment(client, experiment, archive, heads, models)
        with lease(client, experiment_id):
            return _restore(
                client, archive, heads, models, (experiment, experiment_id), on_progress
            )


def _restore(
    client: MlflowClient,
    archive: Archive,
    heads: list[_Head],
    models: Sequence[ModelRecord],
    experiment: tuple[str, str],
    on_progress: OnProgress,
) -> Imported:
    name, experiment_id = experiment
    moves = (archive.manifest.experiment_id, experiment_id)
    whole, begun = _present(client, experiment_id, {head.origin for head in heads})
    new = [head for head in heads if head.origin not in whole]
    unmade = [head for head in new if head.origin not in begun]
    plan = plan_models(client, experiment_id, models)
    digests = _digests(archive, heads, whole, plan.origins)
    # texts may also refer to other runs of the experiment, by their original ids
    ids = {made: str(run.info.run_id) for made, run in (begun | whole).items()}
    ids |= {head.run_id: ids.get(head.origin, "<new>") for head in heads}
    ids |= plan.ids()
    expected = with_ids(ids, experiments=moves)
    updated: dict[str, Run] = {}
    torn: list[str] = []
    for head in heads:
        run = whole.get(head.origin) or begun.get(head.origin)
        if run is None:
            continue
        record = _mapped(_record(archive, head.run_id), expected)
        if _is_as_archived(run, record, digests[head.run_id]):
            continue
        if _can_become(run, record, _version(archive, head)):
            updated |= {head.run_id: run} if KIND in run.data.tags else {}
        elif KIND not in run.data.tags or _state(_values(run)) != _state(record):
            torn.append(str(run.info.run_id))
    if torn:
        raise ParameterError(
            f"experiment={name}: {len(torn)} runs, such as {torn[0]}, differ both from this "
            "archive and from an earlier one of the same experiment; nothing was imported; "
            "-P experiment=NAME imports all runs into another experiment"
        )
    todo = [head for head in heads if head.origin not in whole or head.run_id in updated]
    workers = n_workers(client)
    _check_space(archive, todo, plan.new, workers)
    writer = _Writer(client=client, archive=archive, experiment=experiment_id, digests=digests)
    model_writer = ModelWriter(client=client, archive=archive, experiment=experiment_id)
    steps = count(1)
    n_steps = len(unmade) + len(todo) + 2 * len(plan.new)
    for head, run_id in zip(unmade, in_order(writer.make, unmade, workers=workers), strict=True):
        ids[head.run_id] = ids[head.origin] = run_id
        on_progress(next(steps), n_steps)
    change = with_ids(ids, experiments=moves)
    for model in plan.new:
        plan.made[model.origin] = plan.begun.get(model.origin) or model_writer.make(
            model, ids[model.run_id], change
        )
        on_progress(next(steps), n_steps)
    ids |= plan.ids()

    def fill(head: _Head) -> None:
        writer.fill(head, ids[head.run_id], change, updated.get(head.run_id))

    for _, generation in groupby(todo, key=lambda head: head.depth):
        for _ in in_order(fill, generation, workers=workers):
            on_progress(next(steps), n_steps)
    for model in plan.new:
        model_writer.fill(model, plan.made[model.origin], change)
        on_progress(next(steps), n_steps)
    versions, messages = register(client, models, plan.made, change)
    _delete_unused(client, experiment_id)
    delete_unused_models(client, experiment_id)
    return Imported(
        experiment_id=experiment_id,
        n_new=len(new),
        n_continued=len(new) - len(unmade),
        n_updated=len(updated),
        n_known=len(heads) - len(todo),
        n_models=len(plan.new),
        versions=versions,
        messages=messages,
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
    """Read and check all runs before the first is written; parents are first."""
    origins, parents = {}, {}
    for run_id in archive.manifest.runs:
        tags = _record(archive, run_id).tags
        origins[run_id], parents[run_id] = origin(run_id, tags), tags.get(MLFLOW_PARENT_RUN_ID)
    twice = of_one_origin(origins.items())
    if twice is not None:
        raise archive.refused(f"{twice} in the exported experiment")
    parents = {run_id: parent for run_id, parent in parents.items() if parent in origins}
    heads = [
        _Head(run_id=run_id, origin=made, depth=_depth(run_id, parents))
        for run_id, made in origins.items()
    ]
    return sorted(heads, key=lambda head: head.depth)


def _depth(run_id: str, parents: Mapping[str, str | None]) -> int:
    above: set[str] = set()
    parent = parents.get(run_id)
    while parent is not None and parent not in above:
        above.add(parent)
        parent = parents.get(parent)
    return len(above)


def _mapped(record: Record, change: Change) -> Record:
    """Return a run's values with the new ids."""
    return replace(
        record,
        params={key: change(value) for key, value in record.params.items()},
        tags={key: change(record.tags[key]) for key in record.tags.keys() - HERE_ONLY},
    )


def _values(run: Run) -> Record:
    """Return the values of an existing run, without its metrics' histories."""
    return _mapped(record_of(run, dict.fromkeys(run.data.metrics, ())), str)


def _state(record: Record) -> str:
    """Return the SHA-256 of a run's values without histories and artifacts."""
    times = [record.status, record.start_time, record.end_time]
    data = [record.name, *times, dict(record.params), dict(record.tags), sorted(record.metrics)]
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _digests(
    archive: Archive, heads: list[_Head], whole: Mapping[str, Run], models: Mapping[str, str]
) -> dict[str, str]:
    """Return the SHA-256 of each run's content in an archive, independent of its ids there.

    Ids of runs and models are replaced by original ids, which are marked if the run or model is
    known: a run that refers to a run of a later archive must be written again.
    """
    known = {made: made for made in chain(whole, (head.origin for head in heads))}
    known |= {**{head.run_id: head.origin for head in heads}, **models}
    canonical = with_ids(
        {run_id: f"<{made}>" for run_id, made in known.items()},
        experiments=(archive.manifest.experiment_id, "home"),
    )
    return {head.run_id: _digest(archive, head, canonical) for head in heads}


def _digest(archive: Archive, head: _Head, canonical: Change) -> str:
    record = _mapped(_record(archive, head.run_id), str)
    values = to_json(replace(record, run_id=head.origin))
    data = json.dumps(values, sort_keys=True, ensure_ascii=False)
    digest = hashlib.sha256(canonical(data).encode())
    for name, member in archive.artifacts(head.run_id).items():
        digest.update(f"\n{name}\n".encode())
        if not is_text(name):
            digest.update(archive.manifest.members[member].sha256.encode())
            continue
        with tempfile.SpooledTemporaryFile(max_size=BLOCK) as file:
            archive.copy(member, file)
            file.seek(0)
            for piece in changed(file, canonical):
                digest.update(piece)
    return digest.hexdigest()


def _version(archive: Archive, head: _Head) -> str:
    return f"{head.run_id} {archive.manifest.exported}"


def _is_as_archived(run: Run, record: Record, digest: str) -> bool:
    """Return whether a run was imported in the archive's state; later changes are ignored."""
    tags = run.data.tags
    return tags.get(IMPORTED_SHA256) == digest and tags.get(IMPORTED_STATE) == _state(record)


def _can_become(run: Run, record: Record, version: str) -> bool:
    """Return whether an existing run can be updated.

    It can if it was only written by an import of an earlier archive of the same experiment, and no
    parameter changes, because MLflow's parameters are immutable. An incomplete run can always be.
    """
    tags = run.data.tags
    is_untouched = KIND not in tags or (
        IMPORTED_SHA256 in tags and tags.get(IMPORTED_STATE) in (UNDER_WAY, _state(_values(run)))
    )
    before, params = tags.get(IMPORTED_VERSION, version), run.data.params.items()
    is_later = before.split()[0] == version.split()[0] and before <= version
    return (
        is_untouched
        and is_later
        and all(record.params.get(key, value) == value for key, value in params)
    )


def _check_space(
    archive: Archive, heads: list[_Head], models: Collection[ModelRecord], workers: int
) -> None:
    sizes: Sequence[int] = sorted(archive.size(head.run_id) for head in heads)
    largest_model = max((archive.size(each.model_id) for each in models), default=0)
    needed, folder = max(sum(sizes[-workers:]), largest_model), tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise ParameterError(
            f"{folder}: {needed / 2**20:.0f} MiB are needed there to unpack runs and "
            f"{free / 2**20:.0f} are free; free disk space, or name another folder in TMPDIR"
        )


def _target_experiment(
    client: MlflowClient,
    name: str,
    archive: Archive,
    heads: list[_Head],
    models: Collection[ModelRecord],
) -> str:
    found = client.get_experiment_by_name(name)
    if found is None:  # no experiment is created if the import is impossible
        _check_space(archive, heads, models, n_workers(client))
    try:
        return experiment_id(client, name)
    except MlflowException as error:
        if refusal(error):
            raise
        raise ParameterError(f"experiment={name}: cannot be created ({reason(error)})") from error


def _present(
    client: MlflowClient, experiment_id: str, origins: Set[str]
) -> tuple[dict[str, Run], dict[str, Run]]:
    """Return an experiment's complete and incomplete runs, by origin.

    Raises
    ------
    ParameterError
        If two complete runs have the same of these origins, which is ambiguous.
    """
    found = {str(run.info.run_id): run for run in search(client, experiment_id)}
    whole: list[tuple[str, str]] = []
    begun: dict[str, Run] = {}
    for run_id in sorted(found):
        tags = found[run_id].data.tags
        if KIND in tags:
            whole.append((run_id, origin(run_id, tags)))
        elif IMPORTED_FROM in tags:
            begun.setdefault(tags[IMPORTED_FROM], found[run_id])
    twice = of_one_origin(pair for pair in whole if pair[1] in origins)
    if twice is not None:
        raise ParameterError(f"{twice} and give the same command again")
    return {made: found[run_id] for run_id, made in whole}, begun


def _delete_unused(client: MlflowClient, experiment_id: str) -> None:
    """Delete incomplete duplicates of complete runs: a repeated request may create two."""
    runs = list(search(client, experiment_id))
    whole = {run.data.tags.get(IMPORTED_FROM) for run in runs if KIND in run.data.tags}
    for run in runs:
        if KIND not in run.data.tags and run.data.tags.get(IMPORTED_FROM, "") in whole:
            client.delete_run(run.info.run_id)


def _metrics(record: Record) -> list[entities.Metric]:
    return [
        entities.Metric(key, figure.value, figure.timestamp, figure.step)
        for key, history in record.metrics.items()
        for figure in history
    ]


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
