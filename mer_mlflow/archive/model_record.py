"""A logged model's values as standard JSON, with its versions in the model registry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mer_mlflow.archive.record import (
    check_text,
    check_texts,
    check_whole,
    figure_of,
    origin,
    shown,
)


@dataclass(frozen=True, kw_only=True)
class Score:
    """A value of a metric of a model.

    Attributes
    ----------
    key : name of the metric
    value : any number, including infinity and NaN
    timestamp : Unix time [ms]
    step : step
    dataset : name and digest of the dataset on which it was measured; None if unknown
    """

    key: str
    value: float
    timestamp: int
    step: int
    dataset: tuple[str, str] | None


@dataclass(frozen=True, kw_only=True)
class Version:
    """A version of a registered model.

    Attributes
    ----------
    number : number of the version where it was exported
    description : description of the version, empty if there is none
    tags : texts by key
    aliases : aliases of the version
    """

    number: int
    description: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A registered model, and those of its versions that are the same logged model.

    Attributes
    ----------
    description : description of the registered model, empty if there is none
    tags : texts by key
    versions : versions, in the order of their numbers
    """

    description: str
    tags: Mapping[str, str]
    versions: tuple[Version, ...]


@dataclass(frozen=True, kw_only=True)
class ModelRecord:
    """All values of a logged model that is ready.

    Attributes
    ----------
    model_id, name : id and name of the model
    run_id : id of the run that has made it
    step : step of the run's output
    model_type : type of the model, empty if there is none
    params, tags : texts by key
    scores : its metrics
    registered : registered models by name
    """

    model_id: str
    name: str
    run_id: str
    step: int
    model_type: str
    params: Mapping[str, str]
    tags: Mapping[str, str]
    scores: tuple[Score, ...]
    registered: Mapping[str, Registered]

    @property
    def origin(self) -> str:
        """Original id of the model, before any import."""
        return origin(self.model_id, self.tags)


def to_json(record: ModelRecord) -> dict[str, Any]:
    """Convert a record for JSON; metrics are ``[key, value, timestamp, step, dataset]``."""
    scores = [
        [each.key, shown(each.value), each.timestamp, each.step, each.dataset]
        for each in record.scores
    ]
    return {**asdict(record), "scores": scores}


def from_json(data: Any) -> ModelRecord:
    """Convert parsed JSON to a record.

    Raises
    ------
    ValueError
        If something is missing, or of the wrong type.
    """
    try:
        texts = {key: check_text(data[key]) for key in ("model_id", "name", "run_id", "model_type")}
        return ModelRecord(
            **texts,
            step=check_whole(data["step"]),
            params=check_texts(data["params"]),
            tags=check_texts(data["tags"]),
            scores=tuple(_score(*each) for each in data["scores"]),
            registered={
                check_text(name): _registered(each) for name, each in data["registered"].items()
            },
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _score(key: Any, value: Any, timestamp: Any, step: Any, dataset: Any) -> Score:
    figure = figure_of(value, timestamp, step)
    name, digest = (None, None) if dataset is None else dataset
    return Score(
        key=check_text(key),
        value=figure.value,
        timestamp=figure.timestamp,
        step=figure.step,
        dataset=None if dataset is None else (check_text(name), check_text(digest)),
    )


def _registered(data: Any) -> Registered:
    return Registered(
        description=check_text(data["description"]),
        tags=check_texts(data["tags"]),
        versions=tuple(_version(each) for each in data["versions"]),
    )


def _version(data: Any) -> Version:
    return Version(
        number=check_whole(data["number"]),
        description=check_text(data["description"]),
        tags=check_texts(data["tags"]),
        aliases=tuple(check_text(each) for each in data["aliases"]),
    )
