"""Import of an archive's logged models, and of their versions in the model registry.

A model is created with the status PENDING, and becomes READY when all its files are written. Its
versions are registered after that, and aliases are set last. An interrupted import is continued
with the models that it has created.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, LoggedModelStatus, Metric
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from mer_mlflow.archive.container import MODEL_ID, Archive
from mer_mlflow.archive.export_models import MLMODEL, is_rewritten
from mer_mlflow.archive.model_record import ModelRecord, Registered, from_json
from mer_mlflow.archive.parallel import with_advice
from mer_mlflow.archive.record import of_one_origin, origin
from mer_mlflow.archive.text import Change, rewrite
from mer_mlflow.errors import TrackingError
from mer_mlflow.scratch import scratch_folder
from mer_mlflow.tracking.models import lacks_files, search_models, versions_of
from mer_mlflow.tracking.runs import is_missing
from mer_mlflow.tracking.schema import IMPORTED_FROM, IMPORTED_SOURCE

ADVICE = "imported runs and models are kept: give the same command again to continue"


@dataclass(frozen=True, kw_only=True)
class ModelWriter:
    """Writer of an archive's models to an experiment.

    Attributes
    ----------
    client : client of the tracking server
    archive : the archive
    experiment : id of the experiment
    """

    client: MlflowClient
    archive: Archive
    experiment: str

    def make(self, record: ModelRecord, run_id: str, change: Change) -> str:
        """Create a model without files, and return its id.

        Parameters
        ----------
        record : values of the model in the archive
        run_id : id of the target run that has made it
        change : function that replaces ids in texts
        """
        with with_advice(f"model {record.model_id} of the archive cannot be created", ADVICE):
            model = self.client.create_logged_model(
                self.experiment,
                name=record.name,
                source_run_id=run_id,
                tags=self._origin_tags(record),
                params=_changed(record.params, change),
                model_type=record.model_type or None,
            )
        return str(model.model_id)

    def fill(self, record: ModelRecord, model_id: str, change: Change) -> None:
        """Write the complete content of a model, also values that exist already.

        Parameters
        ----------
        record : values of the model in the archive
        model_id : id of the target model
        change : function that replaces ids in texts
        """
        client = self.client
        with with_advice(f"model {record.model_id} of the archive cannot be written", ADVICE):
            model = client.get_logged_model(model_id)
            self._fill_values(record, model, change)
            sizes = self._fill_artifacts(record, model, change)
            if lacks_files(client, model_id, sizes):
                raise TrackingError(
                    f"model {record.model_id} of the archive: the server has not kept all of its "
                    f"files; {ADVICE}"
                )
            client.finalize_logged_model(model_id, LoggedModelStatus.READY)

    def _fill_values(self, record: ModelRecord, model: LoggedModel, change: Change) -> None:
        client, run_id = self.client, str(model.source_run_id)
        params = _changed(record.params, change)
        missing = {key: value for key, value in params.items() if key not in model.params}
        if missing:
            client.log_model_params(model.model_id, missing)
        tags = _changed(record.tags, change) | self._origin_tags(record)
        client.set_logged_model_tags(model.model_id, tags)
        client.log_batch(run_id, metrics=list(_metrics(record, model)))
        outputs = client.get_run(run_id).outputs
        known = {each.model_id for each in (outputs.model_outputs if outputs else ())}
        if model.model_id not in known:
            output = LoggedModelOutput(model.model_id, step=record.step)
            client.log_outputs(run_id, [output])

    def _fill_artifacts(
        self, record: ModelRecord, model: LoggedModel, change: Change
    ) -> dict[str, int]:
        """Write the files of a model, and return their sizes by name [bytes]."""
        sizes = {}
        with scratch_folder() as folder:
            for name, member in self.archive.artifacts(record.model_id).items():
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("wb") as file:
                    self.archive.copy(member, file)
                if is_rewritten(name):
                    rewrite(path, change)
                if name == MLMODEL:
                    _rename(path, model)
                sizes[name] = path.stat().st_size
            self.client.log_model_artifacts(model.model_id, str(folder))
        return sizes

    def _origin_tags(self, record: ModelRecord) -> dict[str, str]:
        manifest = self.archive.manifest
        return {
            IMPORTED_FROM: record.origin,
            IMPORTED_SOURCE: f"experiment {manifest.experiment} of {manifest.tracking}",
        }


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """Models of an archive, compared with those of an experiment.

    Attributes
    ----------
    records : models of the archive
    new : those that the experiment does not have, or that are incomplete there
    begun : ids of incomplete models by original id
    made : ids of complete models, and of those that are written, by original id
    """

    records: Sequence[ModelRecord]
    new: Sequence[ModelRecord]
    begun: Mapping[str, str]
    made: dict[str, str]

    @property
    def origins(self) -> dict[str, str]:
        """Original ids by the ids in texts of known models."""
        known = {made: made for made in self.made}
        known |= {
            made: each.origin for each in self.records for made in (each.origin, each.model_id)
        }
        return {_bare(each): _bare(made) for each, made in known.items()}

    def ids(self) -> dict[str, str]:
        """Return the target ids by the ids in texts, for models that have one."""
        here = {**self.begun, **self.made}
        here |= {each.model_id: here.get(each.origin, "<new>") for each in self.records}
        return {_bare(each): _bare(model_id) for each, model_id in here.items()}


def read_models(archive: Archive) -> list[ModelRecord]:
    """Read and check all models before anything is written.

    Raises
    ------
    ParameterError
        If one cannot be used.
    """
    records = [_read(archive, model_id) for model_id in archive.manifest.models]
    twice = of_one_origin(((each.model_id, each.origin) for each in records), kind="model")
    if twice is not None:
        raise archive.refused(f"{twice} in the exported experiment")
    return records


def plan_models(client: MlflowClient, experiment: str, records: Sequence[ModelRecord]) -> ModelPlan:
    """Compare the models of an archive with those of an experiment."""
    whole, begun = _present(client, experiment)
    return ModelPlan(
        records=records,
        new=[record for record in records if record.origin not in whole],
        begun=begun,
        made=whole,
    )


def delete_unused_models(client: MlflowClient, experiment: str) -> None:
    """Delete incomplete duplicates of complete models: a repeated request may create two."""
    whole, begun = _present(client, experiment)
    while unused := begun.keys() & whole.keys():
        for made in unused:
            client.delete_logged_model(begun[made])
        _, begun = _present(client, experiment)


def _present(client: MlflowClient, experiment: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the ids of complete models, and of those that an import has begun, by origin."""
    whole: dict[str, str] = {}
    begun: dict[str, str] = {}
    for model in sorted(search_models(client, experiment), key=lambda each: str(each.model_id)):
        if model.status == LoggedModelStatus.READY:
            whole.setdefault(origin(model.model_id, model.tags), model.model_id)
        elif model.status == LoggedModelStatus.PENDING and IMPORTED_FROM in model.tags:
            begun.setdefault(model.tags[IMPORTED_FROM], model.model_id)
    return whole, begun


def _bare(model_id: str) -> str:
    """Return the part of a model's id that has the form of a run's id."""
    return model_id.removeprefix(MODEL_ID)


def register(
    client: MlflowClient, records: Sequence[ModelRecord], ids: Mapping[str, str], change: Change
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Register the versions of an archive that do not exist yet, and set their aliases.

    An alias that another version has already is kept there.

    Parameters
    ----------
    client : client of the tracking server
    records : models of the archive
    ids : ids of the complete target models by original id
    change : function that replaces ids in texts

    Returns
    -------
    the new versions, such as ``mer-svm/3``, and a message for each alias that was not set
    """
    with with_advice("models cannot be registered", ADVICE):
        models = {each.origin: client.get_logged_model(ids[each.origin]) for each in records}
        present = {made: versions_of(client, model) for made, model in models.items()}
    new, aliases = [], []
    for name, registered, made, index in _in_order_of_versions(records):
        version = registered.versions[index]
        known = [each for each in present[made] if each.name == name]
        with with_advice(f"version {version.number} of {name} cannot be registered", ADVICE):
            if index < len(known):
                number = str(known[index].version)
            else:
                _require_registered(client, name, registered, change)
                number = str(
                    client.create_model_version(
                        name,
                        models[made].model_uri,
                        run_id=str(models[made].source_run_id),
                        tags=_changed(version.tags, change),
                        description=change(version.description) or None,
                        await_creation_for=0,
                        model_id=models[made].model_id,
                    ).version
                )
                new.append(f"{name}/{number}")
        aliases += [(name, alias, number, version.number) for alias in version.aliases]
    with with_advice("models cannot be registered", ADVICE):
        for model in models.values():
            _link(client, model)
        messages = [_set_alias(client, *each) for each in aliases]
    return tuple(new), tuple(message for message in messages if message)


def _read(archive: Archive, model_id: str) -> ModelRecord:
    try:
        record = from_json(archive.record(model_id))
        if record.model_id != model_id or record.run_id not in archive.manifest.runs:
            raise ValueError(f"its id is {record.model_id}, its run {record.run_id}")
        buffer = io.BytesIO()
        archive.copy(archive.artifacts(model_id)[MLMODEL], buffer)
        if not isinstance(yaml.safe_load(buffer.getvalue()), dict):
            raise ValueError(f"{MLMODEL} has no values")
    except KeyError:
        raise archive.refused(f"model {model_id} has no file {MLMODEL}") from None
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise archive.refused(f"model {model_id} cannot be read ({error})") from error
    return record


def _changed(texts: Mapping[str, str], change: Change) -> dict[str, str]:
    return {key: change(value) for key, value in texts.items()}


def _metrics(record: ModelRecord, model: LoggedModel) -> Iterator[Metric]:
    for score in record.scores:
        name, digest = score.dataset or (None, None)
        yield Metric(
            score.key,
            score.value,
            score.timestamp,
            score.step,
            model_id=model.model_id,
            dataset_name=name,
            dataset_digest=digest,
            run_id=model.source_run_id,
        )


def _rename(path: Path, model: LoggedModel) -> None:
    """Write ids and address of a model into its description."""
    described = yaml.safe_load(path.read_text())
    described |= {
        "artifact_path": model.artifact_location,
        "model_id": model.model_id,
        "model_uuid": model.model_id,
        "run_id": model.source_run_id,
    }
    path.write_text(yaml.safe_dump(described, allow_unicode=True))


def _in_order_of_versions(
    records: Sequence[ModelRecord],
) -> Sequence[tuple[str, Registered, str, int]]:
    """Return name, registered model, model's original id and index of each version."""
    every: Iterable[tuple[str, Registered, str, int]] = (
        (name, registered, record.origin, index)
        for record in records
        for name, registered in record.registered.items()
        for index in range(len(registered.versions))
    )
    return sorted(every, key=lambda each: (each[0], each[1].versions[each[3]].number))


def _require_registered(
    client: MlflowClient, name: str, registered: Registered, change: Change
) -> None:
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if not is_missing(error):
            raise
        client.create_registered_model(
            name,
            tags=_changed(registered.tags, change),
            description=change(registered.description) or None,
        )


def _link(client: MlflowClient, model: LoggedModel) -> None:
    """Write the versions of a model into the tag by which MLflow's pages find them."""
    versions = versions_of(client, model)
    links = json.dumps([{"name": each.name, "version": int(each.version)} for each in versions])
    tags = client.get_logged_model(model.model_id).tags
    if versions and tags.get(MLFLOW_MODEL_VERSIONS) != links:
        client.set_logged_model_tags(model.model_id, {MLFLOW_MODEL_VERSIONS: links})


def _set_alias(
    client: MlflowClient, name: str, alias: str, number: str, archived: int
) -> str | None:
    """Set an alias, and return a message if another version has it."""
    held = client.get_registered_model(name).aliases.get(alias)
    if held is None:
        client.set_registered_model_alias(name, alias, number)
    if held is None or str(held) == number:
        return None
    return (
        f"alias {alias} of {name} stays on version {held}; version {number}, which had it as "
        f"version {archived} of the archive, is without it"
    )
