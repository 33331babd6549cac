"""Validated reading of runs: sizes are limited, and values are checked before use."""

from __future__ import annotations

import contextlib
import json
import math
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import mlflow.artifacts
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from mlflow.utils.file_utils import local_file_uri_to_path

from mer_mlflow.errors import MissingArtifactError, RunDataError
from mer_mlflow.scratch import scratch_folder
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.metric_names import FOLD_METRICS, PARENT_METRICS

LOCAL = ("", "file")
"""URL schemes of local files, which are read directly because MLflow is slower."""
MOST_BYTES = 1 << 28
"""Maximum size of a table, on disk and in memory; those of the largest runs have 2 MiB."""
MOST_TEXT_BYTES = 1 << 24
"""Maximum size of a text artifact."""
MOST_ROWS = 1 << 22
MOST_COLUMNS, MOST_ROW_GROUPS = 2000, 4096
MOST_CHARACTERS = 8000
"""Maximum number of characters of a tag or parameter, MLflow's limit."""
LONGEST_NAME = 250
"""Maximum number of characters of a name."""
LONGEST_CELL = 1000
"""Maximum number of characters of a text in a table."""
LARGEST = 1e30
"""Maximum absolute value of numbers: sums and squares in single precision are finite."""
LATEST = 253_402_300_799.0
"""End of the year 9999, in Unix time [s]."""
MOST_FOLDS = 100_000
"""Maximum number of folds of a cross-validation."""
MOST_SHOWN = 40
"""Maximum number of characters of a value in a message."""
UNREADABLE = (
    pa.ArrowException,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    OverflowError,
    MemoryError,
    RecursionError,
)
"""Exceptions of libraries for damaged files."""

Values = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Column:
    """Valid values of a column of a table.

    Attributes
    ----------
    low, high : inclusive bounds of its numbers
    is_text, is_whole : whether its values are texts, or integers
    has_gaps : whether numbers may be missing
    is_optional : whether the column may be missing
    """

    low: float = -LARGEST
    high: float = LARGEST
    is_text: bool = False
    is_whole: bool = False
    has_gaps: bool = False
    is_optional: bool = False


def text(
    values: Values, key: str, *, default: str | None = None, most: int = MOST_CHARACTERS
) -> str:
    """Return the text of a tag or parameter, with control characters as codes.

    Parameters
    ----------
    values : tags or parameters of a run
    key : name of the tag or parameter
    default : text if it is missing; None if it must exist
    most : maximum number of characters

    Raises
    ------
    RunDataError
        If it is missing or longer.
    """
    value = values.get(key, default)
    if value is None:
        raise RunDataError(f"{printable(key)} is missing")
    if len(value) > most:
        raise RunDataError(f"{printable(key)} has {len(value)} characters, the limit is {most}")
    return printable(value)


def whole(values: Values, key: str, *, low: int, high: int, default: int | None = None) -> int:
    """Return the integer of a tag or parameter.

    Parameters
    ----------
    values : tags or parameters of a run
    key : name of the tag or parameter
    low, high : inclusive bounds
    default : number if it is missing; None if it must exist

    Raises
    ------
    RunDataError
        If it is missing, not an integer or out of bounds.
    """
    if default is not None and key not in values:
        return default
    try:
        value = int(text(values, key))
    except ValueError:
        value = low - 1
    if not low <= value <= high:
        raise _odd(values, key, f"must be a whole number from {low} to {high}")
    return value


def number(
    values: Values, key: str, *, low: float, high: float, default: float | None = None
) -> float:
    """Return the number of a tag or parameter.

    Parameters
    ----------
    values : tags or parameters of a run
    key : name of the tag or parameter
    low, high : inclusive bounds
    default : number if it is missing or empty; None if it must exist

    Raises
    ------
    RunDataError
        If it is missing, not a number or out of bounds.
    """
    if default is not None and not values.get(key):
        return float(default)
    given = text(values, key)
    try:
        value = float(given)
    except ValueError:
        value = math.nan
    if not low <= value <= high:
        raise _odd(values, key, f"must be a number from {low:g} to {high:g}")
    return value


def facts(values: Values, key: str) -> dict[str, str]:
    """Return names and values of a tag that is a JSON object; empty if it is missing.

    Raises
    ------
    RunDataError
        If it is anything else.
    """
    try:
        found = json.loads(text(values, key, default="{}"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _odd(values, key, "must be a JSON object")
    return {printable(name): printable(value) for name, value in found.items()}


def fold_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a fold's run, also of an earlier version, by their names in tables."""
    return _by_name(metrics, FOLD_METRICS)


def parent_metrics(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the metrics of a parent, also of an earlier version, by their names in reports."""
    return _by_name(metrics, PARENT_METRICS)


def parent_params(params: Values) -> dict[str, str]:
    """Return the parameters of a parent, also of an earlier version.

    Earlier versions have empty texts for what is not used. This version has no such parameters,
    except that a method's own augmentations are named if they are not used.
    """
    known = {schema.SECONDS: "", schema.FEATURES: "", **params}
    if known.get(schema.AUGMENTATIONS) == schema.NO_AUGMENTATIONS:
        known[schema.AUGMENTATIONS] = ""
    return known


def figure(metrics: Mapping[str, float], key: str) -> float:
    """Return the value of a metric.

    Raises
    ------
    RunDataError
        If it is missing, not finite or too large.
    """
    if key not in metrics:
        raise RunDataError(f"metric {key} is missing")
    if not abs(metrics[key]) <= LARGEST:
        raise RunDataError(f"metric {key}={metrics[key]}: must be a number up to {LARGEST:g}")
    return float(metrics[key])


@contextlib.contextmanager
def artifact(root: str, name: str, *, most: int = MOST_BYTES) -> Iterator[Path]:
    """Provide an artifact as a local file, as long as the context is active.

    Parameters
    ----------
    root : address of the run's artifacts
    name : name of the artifact, without folders
    most : maximum size in bytes

    Raises
    ------
    MissingArtifactError
        If there is none.
    RunDataError
        If it is not a file, or is larger.
    MlflowException, OSError
        If it cannot be downloaded.
    """
    address = f"{root}/{name}"
    if urlsplit(address).scheme in LOCAL:
        path = Path(local_file_uri_to_path(address))  # type: ignore[no-untyped-call]
        _check_file(path, name, most)
        yield path
        return
    _check_listed(root, name, most)
    with scratch_folder() as folder:
        path = Path(mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder)))
        _check_file(path, name, most)
        yield path


def read_text(root: str, name: str) -> str:
    """Read a text artifact in UTF-8, with the arguments of :func:`artifact`.

    Raises
    ------
    MissingArtifactError
        If there is none.
    RunDataError
        If it is too large or not text.
    MlflowException, OSError
        If it cannot be downloaded.
    """
    with artifact(root, name, most=MOST_TEXT_BYTES) as path:
        try:
            return path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RunDataError(f"{name} is not a text in UTF-8") from error


def read_json(root: str, name: str) -> dict[str, Any]:
    """Read an artifact that is a JSON object, with the arguments of :func:`artifact`.

    Raises
    ------
    MissingArtifactError
        If there is none.
    RunDataError
        If it is too large or anything else.
    MlflowException, OSError
        If it cannot be downloaded.
    """
    try:
        found = json.loads(read_text(root, name))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise RunDataError(f"{name} is not a JSON object")
    return found


def read_table(
    path: Path, name: str, columns: Mapping[str, Column], *, most_rows: int = MOST_ROWS
) -> pd.DataFrame:
    """Read columns of a table in Parquet.

    Size, number of rows and types are checked before any row is read.

    Parameters
    ----------
    path : path of the file
    name : name of the table in messages
    columns : columns to read, by name; a name that ends with ``/`` stands for all with this prefix
    most_rows : maximum number of rows

    Returns
    -------
    table with control characters in texts as codes, and 64-bit numbers

    Raises
    ------
    RunDataError
        If it is not a valid table.
    """
    try:
        with pq.ParquetFile(path) as file:
            wanted = _checked_columns(file, name, columns, most_rows)
        texts = [column for column, kind in wanted.items() if kind.is_text]
        # repeated texts, of which a small file may have a million, are stored once
        with pq.ParquetFile(path, read_dictionary=texts) as file:
            table = file.read(columns=list(wanted), use_threads=False)
        if table.num_rows > most_rows:
            raise _too_many_rows(name, table.num_rows, most_rows)
        read = {
            printable(column): (_texts if kind.is_text else _numbers)(
                table.column(column), f"{name}, column {printable(column)}", kind
            )
            for column, kind in wanted.items()
        }
    except RunDataError:
        raise
    except UNREADABLE as error:
        raise RunDataError(f"{name} is not a readable Parquet table") from error
    return pd.DataFrame(read)


def _odd(values: Values, key: str, rule: str) -> RunDataError:
    return RunDataError(f"{printable(key)}={printable(values[key], most=MOST_SHOWN)}: {rule}")


def _by_name(metrics: Mapping[str, float], sections: Sequence[tuple[str, str]]) -> dict[str, float]:
    names = {key: name for name, key in sections}
    current = {
        names.get(key) or key.removeprefix(schema.DETAILS): value
        for key, value in metrics.items()
        if key in names or key.startswith(schema.DETAILS)
    }
    return {**metrics, **current}


def _check_file(path: Path, name: str, most: int) -> None:
    if not path.exists():
        raise MissingArtifactError(f"{name} is missing")
    if not path.is_file():
        raise RunDataError(f"{name} is not a file")
    _check_size(path.stat().st_size, name, most)


def _check_listed(root: str, name: str, most: int) -> None:
    """Check the size of an artifact before the download."""
    files = mlflow.artifacts.list_artifacts(artifact_uri=root)
    found = next((each for each in files if posixpath.basename(each.path) == name), None)
    if found is None:
        raise MissingArtifactError(f"{name} is missing")
    if found.is_dir:
        raise RunDataError(f"{name} is not a file")
    _check_size(found.file_size or 0, name, most)


def _check_size(size: int, name: str, most: int) -> None:
    if size > most:
        raise RunDataError(
            f"{name} has {size / 2**20:.0f} MiB, the limit is {most / 2**20:.0f} MiB"
        )


def _too_many_rows(name: str, n_rows: int, most: int) -> RunDataError:
    return RunDataError(f"{name} has {n_rows} rows, at most {most} are expected")


def _checked_columns(
    file: pq.ParquetFile, name: str, columns: Mapping[str, Column], most_rows: int
) -> dict[str, Column]:
    """Return the valid values of each column to read, by its name in the file."""
    metadata = file.metadata
    if metadata.num_rows > most_rows:
        raise _too_many_rows(name, metadata.num_rows, most_rows)
    if metadata.num_columns > MOST_COLUMNS or metadata.num_row_groups > MOST_ROW_GROUPS:
        raise RunDataError(f"{name} has more than {MOST_COLUMNS} columns or too many parts")
    groups = (metadata.row_group(i) for i in range(metadata.num_row_groups))
    _check_size(sum(group.total_byte_size for group in groups), name, MOST_BYTES)
    found = file.schema_arrow
    wanted: dict[str, Column] = {}
    for column in found.names:
        prefix = column[: column.find("/") + 1]
        kind = columns.get(column) or columns.get(prefix)
        if kind is None:
            continue
        place = f"{name}, column {printable(column, most=MOST_SHOWN)}"
        if column in wanted or len(column) > LONGEST_NAME:
            raise RunDataError(f"{place}: occurs twice, or its name is too long")
        _check_type(found.field(column).type, place, kind)
        wanted[column] = kind
    for column, kind in columns.items():
        if column not in wanted and not kind.is_optional:
            raise RunDataError(f"{name} has no column {column}")
    return wanted


def _check_type(found: pa.DataType, place: str, kind: Column) -> None:
    types = pa.types
    is_text = types.is_string(found) or types.is_large_string(found)
    is_number = types.is_integer(found) or types.is_floating(found)
    if not (is_text if kind.is_text else is_number or (kind.has_gaps and types.is_null(found))):
        wanted = "texts" if kind.is_text else "numbers"
        raise RunDataError(f"{place}: contains {found}, must contain {wanted}")


def _texts(column: pa.ChunkedArray, place: str, kind: Column) -> pd.Series[str]:
    if column.null_count:
        raise RunDataError(f"{place}: texts are missing")
    if not pa.types.is_dictionary(column.type):
        column = column.dictionary_encode()
    encoded = column.unify_dictionaries().combine_chunks()
    lengths = pc.binary_length(encoded.dictionary).to_numpy(zero_copy_only=False)
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if lengths.max(initial=0) > 4 * LONGEST_CELL or lengths[codes].sum() > MOST_BYTES:
        raise RunDataError(f"{place}: texts are too long")
    texts = [printable(text) for text in encoded.dictionary.to_pylist()]
    return pd.Series(np.array(texts, dtype=object)[codes], dtype="str")


def _numbers(column: pa.ChunkedArray, place: str, kind: Column) -> pd.Series[Any]:
    cast = column.cast(pa.float64(), safe=False)
    values = np.asarray(cast.to_numpy(zero_copy_only=False), dtype=np.float64)
    missing = np.isnan(values)
    if missing.any() and not kind.has_gaps:
        raise RunDataError(f"{place}: numbers are missing")
    known = values[~missing]
    if ((known < kind.low) | (known > kind.high)).any():
        raise RunDataError(f"{place}: must be from {kind.low:g} to {kind.high:g}")
    if not kind.is_whole:
        return pd.Series(values)
    if (known != np.floor(known)).any():
        raise RunDataError(f"{place}: must be whole numbers")
    return pd.Series(values if missing.any() else values.astype(np.int64))
