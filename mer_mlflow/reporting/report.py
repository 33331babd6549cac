"""The report: from the runs of a tracking server to a document."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mer_mlflow.reporting.document import Document
from mer_mlflow.reporting.sections import (
    details,
    differences,
    honesty,
    provenance,
    published,
    questions,
    ranking,
)
from mer_mlflow.reporting.sections._context import Context
from mer_mlflow.reporting.validations import Selection
from mer_mlflow.tracking import Kind, search
from mer_mlflow.tracking.artifacts import read_text

ITEMS = "items.csv"
SECTIONS = (published, ranking, differences, questions, honesty, details, provenance)
TITLE = "Music Emotion Recognition: a comparison of methodologies"


def build_report(
    selection: Selection,
    *,
    address: str,
    facts: Sequence[tuple[str, str]] = (),
    reasons: dict[tuple[str, str], str] | None = None,
) -> Document:
    """Build the report of cross-validations.

    Parameters
    ----------
    selection : from :func:`mer_mlflow.reporting.validations.read_validations`
    address : of MLflow's pages, which links lead to
    facts : (name, value) of where the runs were read
    reasons : why a (method, dataset) has no result, from :func:`read_reasons`
    """
    context = Context(selection=selection, address=address.rstrip("/"), reasons=reasons or {})
    n_partial = len(selection.validations) - len(selection.complete)
    counted = [
        ("cross-validations", f"{len(selection.complete)} complete, {n_partial} partial"),
        ("folds", f"{sum(item.n_done for item in selection.validations)}"),
    ]
    if selection.n_set_aside:
        words = f"{selection.n_set_aside} finished runs repeat another one and are left out"
        counted.append(("duplicates", words))
    return Document(
        title=TITLE,
        facts=(*facts, *counted),
        sections=tuple(module.section(context) for module in SECTIONS),
    )


def read_reasons(client: MlflowClient, experiments: Sequence[str]) -> dict[tuple[str, str], str]:
    """Why methods have no result on datasets, as the latest study of each says.

    Parameters
    ----------
    client : of the tracking server
    experiments : ids

    Returns
    -------
    ``"status: reason"`` by (method, dataset)
    """
    found: dict[tuple[str, str], str] = {}
    for table in _item_tables(client, experiments):
        trained = table[(table["action"] == "train") & (table["status"] != "done")]
        for _, row in trained.iterrows():
            reason = f": {row['reason']}" if row["reason"] else ""
            found[row["method"], row["dataset"]] = f"{row['status']}{reason}"
    return found


def _item_tables(client: MlflowClient, experiments: Sequence[str]) -> Iterator[pd.DataFrame]:
    studies = [
        run for experiment in experiments for run in search(client, experiment, kind=Kind.STUDY)
    ]
    for run in sorted(studies, key=lambda run: int(run.info.start_time)):
        try:
            words = read_text(f"{run.info.artifact_uri}/{ITEMS}")
        except (MlflowException, OSError):  # the study ended before it wrote its first item
            continue
        yield pd.read_csv(io.StringIO(words), dtype=str, keep_default_na=False)
