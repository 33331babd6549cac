"""Report of the cross-validations on a tracking server, as a document."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from itertools import islice

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException

from mer_mlflow.errors import MissingArtifactError, RunDataError
from mer_mlflow.reporting.descriptions import ClipDescriptions
from mer_mlflow.reporting.document import Document
from mer_mlflow.reporting.sections import (
    details,
    differences,
    findings,
    honesty,
    provenance,
    published,
    questions,
    ranking,
)
from mer_mlflow.reporting.sections._context import Context
from mer_mlflow.reporting.validations import Selection
from mer_mlflow.spreadsheet import unescaped
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import Kind, schema, search
from mer_mlflow.tracking.outage import reason
from mer_mlflow.tracking.reading import read_text

COLUMNS = ("method", "dataset", "action", "status", "reason")
"""Columns of a study's table of items."""
MOST_ITEMS, LONGEST_CELL = 10_000, 1000
SECTIONS = (findings, ranking, differences, questions, honesty, published, details, provenance)
TITLE = "Music Emotion Recognition: a comparison of methodologies"


def build_report(
    selection: Selection,
    *,
    address: str,
    facts: Sequence[tuple[str, str]] = (),
    reasons: dict[tuple[str, str], str] | None = None,
    descriptions: Sequence[ClipDescriptions] = (),
) -> Document:
    """Build the report of cross-validations.

    Parameters
    ----------
    selection : cross-validations, as returned by
        :func:`mer_mlflow.reporting.validations.read_validations`
    address : address of MLflow's web pages, for links
    facts : (name, value) pairs that describe the source of the runs
    reasons : reason of each (method, dataset) without a result, as returned by
        :func:`read_reasons`
    descriptions : descriptions of the clips of datasets that are at hand, with paths of audio files
        relative to the report

    Examples
    --------
    >>> from mlflow import MlflowClient
    >>> from mer_mlflow.reporting.validations import read_validations
    >>> selection = read_validations(MlflowClient(), ["1"])  # doctest: +SKIP
    >>> document = build_report(selection, address="http://127.0.0.1:5000")  # doctest: +SKIP
    """
    context = Context(
        selection=selection,
        address=address.rstrip("/"),
        reasons=reasons or {},
        descriptions=descriptions,
    )
    n_partial = len(selection.validations) - len(selection.complete)
    counted = [
        ("cross-validations", f"{len(selection.complete)} complete, {n_partial} partial"),
        ("folds", f"{sum(item.n_done for item in selection.validations)}"),
    ]
    if selection.n_set_aside:
        repeated = f"{selection.n_set_aside} finished runs repeat another one and are left out"
        counted.append(("duplicates", repeated))
    if selection.parts:
        contained = f"{len(selection.parts)} that a larger one contains are listed under Provenance"
        counted.append(("parts", contained))
    if selection.left_out:
        unread = f"{len(selection.left_out)} that cannot be read are listed under Provenance"
        counted.append(("left out", unread))
    return Document(
        title=TITLE,
        facts=(*facts, *counted),
        sections=tuple(module.section(context) for module in SECTIONS),
    )


def read_reasons(
    client: MlflowClient,
    experiments: Sequence[str],
    *,
    on_warning: Callable[[str], object] = lambda words: None,
) -> dict[tuple[str, str], str]:
    """Read from studies why methods have no result on datasets.

    Parameters
    ----------
    client : client of the tracking server
    experiments : experiment ids
    on_warning : called with a sentence about each study that cannot be read

    Returns
    -------
    ``"status: reason"`` by (method, dataset), of the latest study
    """
    found: dict[tuple[str, str], str] = {}
    for run in _studies(client, experiments):
        try:
            found |= _read_items(run)
        except RunDataError as error:
            on_warning(f"study {printable(run.info.run_id)} is not read: {error}")
    return found


def _studies(client: MlflowClient, experiments: Sequence[str]) -> list[Run]:
    found = [
        run for experiment in experiments for run in search(client, experiment, kind=Kind.STUDY)
    ]
    return sorted(found, key=lambda run: int(run.info.start_time or 0))


def _read_items(run: Run) -> dict[tuple[str, str], str]:
    """Return the reasons in a study's table of items; none if the study has not written it."""
    try:
        words = read_text(run.info.artifact_uri, schema.ITEMS)
    except MissingArtifactError:
        return {}
    except (MlflowException, OSError) as error:
        raise RunDataError(f"{schema.ITEMS} cannot be fetched ({reason(error)})") from error
    try:
        table = csv.DictReader(io.StringIO(words))
        has_columns = set(COLUMNS) <= set(table.fieldnames or ())
        rows = list(islice(table, MOST_ITEMS))
    except csv.Error as error:
        raise RunDataError(f"{schema.ITEMS} is not a table of items ({error})") from error
    if not has_columns or any(None in row.values() for row in rows):
        raise RunDataError(f"{schema.ITEMS} is not a table of items")
    items = (
        [printable(unescaped(row[name]), most=LONGEST_CELL) for name in COLUMNS] for row in rows
    )
    return {
        (method, dataset): f"{status}: {why}" if why else status
        for method, dataset, action, status, why in items
        if action == "train" and status != "done"
    }
