"""A run's values as standard JSON, without loss of precision."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mer_mlflow.tracking import schema

ENDED = ("FINISHED", "FAILED", "KILLED")
NO_NUMBERS = ("NaN", "Infinity", "-Infinity")
"""Numbers that JSON does not support, as texts."""
MOST = 2**63
"""Limit of times and steps, which servers store in 64 bits."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A value of a metric.

    Attributes
    ----------
    value : any number, including infinity and NaN
    timestamp : Unix time [ms]
    step : step, such as an epoch
    """

    value: float
    timestamp: int
    step: int


@dataclass(frozen=True, kw_only=True)
class Input:
    """A dataset input of a run, as in MLflow."""

    name: str
    digest: str
    source_type: str
    source: str
    schema: str | None
    profile: str | None
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Record:
    """All values of a run.

    Attributes
    ----------
    run_id, name : id and name of the run
    status : ``FINISHED``, ``FAILED`` or ``KILLED``
    start_time, end_time : Unix times [ms]
    params, tags : texts by key
    metrics : histories by key
    inputs : datasets
    """

    run_id: str
    name: str
    status: str
    start_time: int
    end_time: int | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, tuple[Figure, ...]]
    inputs: tuple[Input, ...]


def origin(run_id: str, tags: Mapping[str, str]) -> str:
    """Return the original id of a run or model, before any import."""
    return tags.get(schema.IMPORTED_FROM, run_id)


def of_one_origin(origins: Iterable[tuple[str, str]], *, kind: str = "run") -> str | None:
    """Return a message about two copies of the same run or model; None if there are none.

    Parameters
    ----------
    origins : pairs of each id and its original id
    kind : ``run`` or ``model``
    """
    seen: dict[str, str] = {}
    for run_id, made in origins:
        other = seen.setdefault(made, run_id)
        if other != run_id:
            return f"{kind}s {other} and {run_id} are copies of {kind} {made}; delete one of them"
    return None


def to_json(record: Record) -> dict[str, Any]:
    """Convert a record for JSON; metric values are ``[value, timestamp, step]``."""
    histories = {
        key: [[shown(figure.value), figure.timestamp, figure.step] for figure in history]
        for key, history in record.metrics.items()
    }
    return {**asdict(record), "metrics": histories}


def from_json(data: Any) -> Record:
    """Convert parsed JSON to a record.

    Raises
    ------
    ValueError
        If something is missing, or of the wrong type.
    """
    try:
        return Record(
            run_id=check_text(data["run_id"]),
            name=check_text(data["name"]),
            status=_status(data["status"]),
            start_time=check_whole(data["start_time"]),
            end_time=None if data["end_time"] is None else check_whole(data["end_time"]),
            params=check_texts(data["params"]),
            tags=check_texts(data["tags"]),
            metrics={
                check_text(key): tuple(figure_of(*figure) for figure in history)
                for key, history in data["metrics"].items()
            },
            inputs=tuple(_input(item) for item in data["inputs"]),
        )
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def shown(value: float) -> float | str:
    """Return a number for JSON."""
    if math.isnan(value):
        return NO_NUMBERS[0]
    return value if math.isfinite(value) else NO_NUMBERS[1 if value > 0 else 2]


def figure_of(value: Any, timestamp: Any, step: Any) -> Figure:
    """Return a value of a metric from parsed JSON.

    Raises
    ------
    ValueError
        If it is none.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number and value not in NO_NUMBERS:
        raise ValueError(f"{value!r} is not a metric value")
    return Figure(value=float(value), timestamp=check_whole(timestamp), step=check_whole(step))


def _input(data: Any) -> Input:
    optional = {
        key: None if data[key] is None else check_text(data[key]) for key in ("schema", "profile")
    }
    texts = {key: check_text(data[key]) for key in ("name", "digest", "source_type", "source")}
    return Input(**texts, **optional, tags=check_texts(data["tags"]))  # type: ignore[arg-type]


def _status(data: Any) -> str:
    if data not in ENDED:
        raise ValueError(f"status {data!r} is not that of a finished run")
    return str(data)


def check_text(data: Any) -> str:
    """Return parsed JSON if it is a text.

    Raises
    ------
    ValueError
        If it is none, or cannot be encoded.
    """
    if not isinstance(data, str):
        raise ValueError(f"{data!r} is not a text")
    data.encode()  # JSON allows lone surrogates, servers do not
    return data


def check_whole(data: Any) -> int:
    """Return parsed JSON if it is an integer of 64 bits.

    Raises
    ------
    ValueError
        If it is none.
    """
    if type(data) is not int or not -MOST <= data < MOST:
        raise ValueError(f"{data!r} is not an integer")
    return data


def check_texts(data: Any) -> dict[str, str]:
    """Return parsed JSON if it is an object of texts.

    Raises
    ------
    ValueError
        If it has other values.
    """
    return {check_text(key): check_text(value) for key, value in data.items()}
