"""Export of the logged models of exported runs, with their versions in the model registry."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities import LoggedModel, LoggedModelStatus, Run
from mlflow.entities.model_registry import ModelVersion
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from mer_mlflow.archive.container import ARTIFACTS, ArchiveWriter, place_of, record_name
from mer_mlflow.archive.model_record import ModelRecord, Registered, Score, Version, to_json
from mer_mlflow.archive.parallel import with_advice
from mer_mlflow.archive.record import of_one_origin, origin
from mer_mlflow.archive.text import is_text, rewrite, without_credentials
from mer_mlflow.errors import ParameterError, TrackingError
from mer_mlflow.tracking.models import search_models, versions_of

MLMODEL = "MLmodel"
EXACT = "artifacts/"
"""Folder of a logged model whose files are covered by checksums of their own, and never changed."""
OF_DOWNLOADS = ("registered_model_meta", "__pycache__")
"""Files that MLflow and Python write into a model's folder when it is loaded."""
ADVICE = "nothing was exported; correct or delete the model, or try again"


def write_models(
    client: MlflowClient,
    experiment: str,
    runs: Iterable[Run],
    writer: ArchiveWriter,
    staged: Path,
) -> tuple[ModelRecord, ...]:
    """Write the models of runs that are ready to an archive.

    Parameters
    ----------
    client : client of the tracking server
    experiment : id of the experiment
    runs : exported runs
    writer : writer of the archive
    staged : folder for temporary files

    Returns
    -------
    the written models

    Raises
    ------
    ParameterError
        If two models are copies of the same one.
    TrackingError
        If a model cannot be read.
    """
    by_id = {str(run.info.run_id): run for run in runs}
    models = [
        model
        for model in search_models(client, experiment)
        if model.source_run_id in by_id and model.status == LoggedModelStatus.READY
    ]
    models.sort(key=lambda model: (model.creation_timestamp, model.model_id))
    origins = ((model.model_id, origin(model.model_id, model.tags)) for model in models)
    twice = of_one_origin(origins, kind="model")
    if twice is not None:
        raise ParameterError(f"experiment {experiment}: {twice}")
    return tuple(
        _write(client, model, by_id[str(model.source_run_id)], writer, staged) for model in models
    )


def is_rewritten(name: str) -> bool:
    """Return whether ids and credentials are replaced in a file of a model."""
    return not name.startswith(EXACT) and (name == MLMODEL or is_text(name))


def _write(
    client: MlflowClient, model: LoggedModel, run: Run, writer: ArchiveWriter, staged: Path
) -> ModelRecord:
    """Download a model, write it to the archive, and delete its temporary files."""
    place = staged / model.model_id
    with with_advice(f"model {model.model_id} cannot be read", ADVICE):
        folder = Path(
            download_artifacts(
                artifact_uri=model.artifact_location,
                dst_path=str(place),
                tracking_uri=client.tracking_uri,
            )
        )
        record = _record(client, model, run)
    if not (folder / MLMODEL).is_file():
        raise TrackingError(f"model {model.model_id} has no file {MLMODEL}; {ADVICE}")
    values = json.dumps(to_json(record), allow_nan=False).encode()
    writer.add(record_name(model.model_id), io.BytesIO(values), size=len(values))
    for name, path in sorted(_files(folder)):
        if is_rewritten(name):
            rewrite(path, without_credentials)
        with path.open("rb") as source:
            member = f"{place_of(model.model_id)}/{ARTIFACTS}/{name}"
            writer.add(member, source, size=path.stat().st_size)
    shutil.rmtree(place)
    return record


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not any(part in OF_DOWNLOADS for part in name.split("/")):
            yield name, path


def _record(client: MlflowClient, model: LoggedModel, run: Run) -> ModelRecord:
    outputs = run.outputs.model_outputs if run.outputs else ()
    steps = {output.model_id: int(output.step) for output in outputs}
    tags = {key: model.tags[key] for key in sorted(model.tags) if key != MLFLOW_MODEL_VERSIONS}
    return ModelRecord(
        model_id=model.model_id,
        name=model.name,
        run_id=str(model.source_run_id),
        step=steps.get(model.model_id, 0),
        model_type=model.model_type or "",
        params=_texts(model.params),
        tags=_texts(tags),
        scores=tuple(_scores(model)),
        registered=_registered(client, versions_of(client, model)),
    )


def _scores(model: LoggedModel) -> Iterator[Score]:
    for metric in sorted(model.metrics or (), key=lambda each: (each.key, each.step)):
        name, digest = metric.dataset_name, metric.dataset_digest
        yield Score(
            key=metric.key,
            value=float(metric.value),
            timestamp=int(metric.timestamp),
            step=int(metric.step),
            dataset=(name, digest) if name and digest else None,
        )


def _registered(client: MlflowClient, versions: list[ModelVersion]) -> dict[str, Registered]:
    found = {}
    for name in dict.fromkeys(version.name for version in versions):
        whole = client.get_registered_model(name)
        aliases = {alias: int(number) for alias, number in whole.aliases.items()}
        found[name] = Registered(
            description=without_credentials(whole.description or ""),
            tags=_texts(whole.tags),
            versions=tuple(
                Version(
                    number=int(each.version),
                    description=without_credentials(each.description or ""),
                    tags=_texts(each.tags),
                    aliases=tuple(
                        sorted(alias for alias in aliases if aliases[alias] == int(each.version))
                    ),
                )
                for each in versions
                if each.name == name
            ),
        )
    return found


def _texts(texts: dict[str, str]) -> dict[str, str]:
    return {key: without_credentials(str(texts[key])) for key in sorted(texts)}
