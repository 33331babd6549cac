"""The dataset of a cross-validation as an input of its run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag
from mlflow.types import ColSpec, DataType, Schema, TensorSpec
from mlflow.types.schema import Array
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

from mer_mlflow.datasets.clips import Clips
from mer_mlflow.tracking.environment import SOURCE_TAGS

CONTEXT = "cross-validation"


def dataset_input(clips: Clips, *, source: str) -> DatasetInput:
    """Return a dataset with its columns, its counts and its source.

    Parameters
    ----------
    clips : clips of the dataset
    source : folder of its files, or anything else if its clips are generated
    """
    kind, where = _source(source)
    dataset = Dataset(
        name=clips.name,
        digest=clips.digest,
        source_type=kind,
        source=json.dumps(where),
        schema=json.dumps({"mlflow_colspec": _columns(clips).to_dict()}),
        profile=json.dumps({"num_rows": len(clips), **clips.counts}),
    )
    return DatasetInput(dataset, tags=[InputTag(MLFLOW_DATASET_CONTEXT, CONTEXT)])


def _source(source: str) -> tuple[str, dict[str, Any]]:
    """Return kind and source as MLflow loads them: a local folder, else the code."""
    if Path(source).is_dir():
        return "local", {"uri": str(Path(source).resolve())}
    return "code", {"tags": SOURCE_TAGS}


def _columns(clips: Clips) -> Schema:
    known = {
        "clip": True,
        "quadrant": True,
        "artist": any(clips.artists),
        "title": any(clips.titles),
        "audio": any(clips.audio),
    }
    columns: list[ColSpec | TensorSpec] = [
        ColSpec(DataType.string, name) for name, is_known in known.items() if is_known
    ]
    columns += [ColSpec(Array(DataType.double), name) for name in sorted(clips.features)]
    return Schema(columns)
