"""Scores that were measured on Original-4QAED, as kept in the folder ``reference-results``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_mlflow.archive import open_archive
from mer_mlflow.archive.record import Record, from_json
from mer_mlflow.commands.methods import ORIGINAL
from mer_mlflow.errors import ParameterError, listing
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.kinds import Kind, Status
from mer_mlflow.tracking.reading import parent_metrics

EARLIER = "earlier.csv"
PROTOCOL = {
    schema.CV_PROTOCOL: "paper",
    schema.N_SPLITS: "10",
    schema.N_REPEATS: "10",
    schema.N_CLIPS: "900",
}
"""Parameters of the cross-validations that are compared with the published scores."""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Macro F1 of a method, 10 x 10 folds of all 900 clips.

    Attributes
    ----------
    f1, low, high : mean and ends of its corrected 95 % interval [per cent]
    is_archived : whether the runs are in an archive of the folder
    """

    f1: float
    low: float
    high: float
    is_archived: bool


def measured(folder: Path) -> dict[str, Measured]:
    """Read the scores in a folder of reference results.

    Parameters
    ----------
    folder : contains archives, and ``earlier.csv`` with scores of earlier versions, which are
        used for methods that are in no archive

    Returns
    -------
    score of each measured method

    Raises
    ------
    ParameterError
        If an archive is damaged, or has several cross-validations of a method.
    """
    found = dict(_earlier(folder / EARLIER))
    for path in sorted(folder.glob("*.zip")):
        archived = list(_archived(path))
        names = [name for name, _ in archived]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ParameterError(f"{path}: several cross-validations of {listing(twice)}")
        found |= dict(archived)
    return found


def _earlier(path: Path) -> Iterator[tuple[str, Measured]]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            f1, low, high = (float(row[name]) for name in ("f1", "low", "high"))
            yield row["method"], Measured(f1=f1, low=low, high=high, is_archived=False)


def _archived(path: Path) -> Iterator[tuple[str, Measured]]:
    with open_archive(path) as archive:
        records = [from_json(archive.record(run_id)) for run_id in archive.manifest.runs]
    for record in filter(_is_comparable, records):
        values = parent_metrics({key: each[-1].value for key, each in record.metrics.items()})
        f1, low, high = (100 * values[f"f1_macro_{name}"] for name in ("mean", "low", "high"))
        yield record.tags[schema.METHOD], Measured(f1=f1, low=low, high=high, is_archived=True)


def _is_comparable(record: Record) -> bool:
    kind, status = (record.tags.get(key) for key in (schema.KIND, schema.STATUS))
    is_result = (kind, status) == (Kind.PARENT, Status.COMPLETE) and schema.TRIAL not in record.tags
    is_original = record.tags.get(schema.DATASET) == ORIGINAL
    return is_result and is_original and record.params.items() >= PROTOCOL.items()
