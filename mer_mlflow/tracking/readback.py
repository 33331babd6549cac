"""Reading back: detection of values that were written to a run and are missing.

There is one request for a run's parameters, tags and latest metrics, one for each of its folders of
artifacts, and one for each of its curves.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from mlflow import MlflowClient
from mlflow.artifacts import list_artifacts
from mlflow.entities import Run
from mlflow.utils.validation import MAX_TAG_VAL_LENGTH

from mer_mlflow.tracking.writer import Batch


class LostWriteError(Exception):
    """A tracking server has lost a write that it had confirmed."""


@dataclass(frozen=True, kw_only=True)
class Content:
    """Expected content of a run.

    Attributes
    ----------
    points : number of points of each metric
    params : names of its parameters
    tags : values of its tags
    sizes : sizes of its artifacts [bytes]
    """

    points: Mapping[str, int]
    params: frozenset[str]
    tags: Mapping[str, str]
    sizes: Mapping[str, int]


def content_of(batches: Iterable[Batch]) -> Content:
    """Return the expected content of a run after these batches."""
    points: defaultdict[str, set[tuple[float, int, int]]] = defaultdict(set)
    params: set[str] = set()
    tags: dict[str, str] = {}
    sizes: dict[str, int] = {}
    for each in batches:
        for key, value, timestamp, step in each.metrics:
            points[key].add((value, timestamp, step))
        params |= each.params.keys()
        tags |= each.tags
        sizes |= {file.name: len(file.content) for file in each.files}
    return Content(
        points={key: len(found) for key, found in points.items()},
        params=frozenset(params),
        tags=tags,
        sizes=sizes,
    )


def lacking(client: MlflowClient, run: Run, content: Content) -> list[str]:
    """Describe the missing content of a run, such as ``1 of 8 metrics``; empty if it is complete.

    Parameters
    ----------
    client : client of the tracking server
    run : current state of the run
    content : expected content
    """
    missing = {
        "metrics": sum(_lacks_points(client, run, key, n) for key, n in content.points.items()),
        "parameters": len(content.params - run.data.params.keys()),
        "tags": len(lacking_tags(run, content.tags)),
        "artifacts": len(content.sizes.items() - _sizes(client, run, content.sizes).items()),
    }
    expected = {
        "metrics": len(content.points),
        "parameters": len(content.params),
        "tags": len(content.tags),
        "artifacts": len(content.sizes),
    }
    return [f"{n} of {expected[kind]} {kind}" for kind, n in missing.items() if n]


def lacking_tags(run: Run, tags: Mapping[str, str]) -> list[str]:
    """Return the names of tags that are missing or have another value."""
    found = run.data.tags
    return [key for key, value in tags.items() if found.get(key) != value[:MAX_TAG_VAL_LENGTH]]


def _lacks_points(client: MlflowClient, run: Run, key: str, n_points: int) -> bool:
    if key not in run.data.metrics:
        return True
    return n_points > 1 and len(client.get_metric_history(run.info.run_id, key)) < n_points


def artifact_sizes(client: MlflowClient, run: Run, folder: str = "") -> dict[str, int | None]:
    """Return the sizes of a run's artifacts by name [bytes]; None if the store does not know it.

    Parameters
    ----------
    client : client of the tracking server
    run : the run
    folder : folder of the artifacts; its subfolders are ignored
    """
    uri = f"{run.info.artifact_uri}/{folder}".rstrip("/")
    return {
        f"{folder}/{PurePosixPath(each.path).name}".lstrip("/"): each.file_size
        for each in list_artifacts(artifact_uri=uri, tracking_uri=client.tracking_uri)
        if not each.is_dir
    }


def _sizes(client: MlflowClient, run: Run, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return the sizes of artifacts [bytes]; the expected size if the store does not know it."""
    folders = dict.fromkeys(str(PurePosixPath(name).parent).removeprefix(".") for name in wanted)
    return {
        name: wanted.get(name, 0) if size is None else size
        for folder in folders
        for name, size in artifact_sizes(client, run, folder).items()
    }
