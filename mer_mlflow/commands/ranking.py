"""Ranking of cross-validations in a terminal, for ``report`` and ``leaderboard``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from mlflow import MlflowClient
from rich.table import Table

from mer_mlflow.crossval.metrics import Summary
from mer_mlflow.crossval.splits import check_protocol
from mer_mlflow.datasets import get_dataset
from mer_mlflow.experiments.text import split_names
from mer_mlflow.methods import get_method
from mer_mlflow.reporting.validations import Selection, Validation
from mer_mlflow.terminal import cell
from mer_mlflow.tracking import experiment_id

PRINTED_WIDTH = 150
"""Characters of a line if the output is not a terminal."""
ALL = "all"
COLUMNS = ("methodology", "dataset", "tuning", "macro F1", "95 % interval", "published", "folds")
TEXTS = COLUMNS[:3]
NOTHING = "no cross-validations in this experiment yet: run `mlflow run . -e train` first"


def filters(methods: str | None, datasets: str | None, protocol: str | None) -> dict[str, Any]:
    """Return validated filters of the cross-validations.

    Raises
    ------
    ParameterError
        If a methodology, dataset or protocol is unknown.
    """
    for method in split_names(methods):
        get_method(method)
    for dataset in split_names(datasets):
        get_dataset(dataset)
    if protocol is not None:
        check_protocol(protocol)
    return {
        "methods": split_names(methods),
        "datasets": split_names(datasets),
        "protocol": protocol,
    }


def requested_experiments(client: MlflowClient, names: str | None) -> list[str]:
    """Return the ids of comma-separated experiments, of all for ``all``, none for None.

    Raises
    ------
    ParameterError
        If there is no such experiment.
    """
    if names is None:
        return []
    if names == ALL:
        return [str(item.experiment_id) for item in client.search_experiments()]
    is_one = client.get_experiment_by_name(names.strip()) is not None  # its name has commas
    chosen = [names.strip()] if is_one else split_names(names)
    return [experiment_id(client, name, create=False) for name in chosen]


def ranking_table(selection: Selection) -> Table:
    """Return a table of complete and partial cross-validations, the best of each dataset first."""
    table = Table(title="Macro F1 in per cent, mean ± sd over folds; partial: so far")
    for column in (*COLUMNS, "run"):
        table.add_column(column, justify="left" if column in TEXTS else "right", overflow="fold")
    for row in ranking_rows(selection):
        table.add_row(*map(cell, row))
    return table


def ranking_rows(selection: Selection) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row of :func:`ranking_table`."""
    frames, labels = selection.frame_titles(), selection.labels()
    order = {frame: i for i, frame in enumerate(frames)}
    found = [(item, _summary(item)) for item in selection.validations]
    for item, f1 in sorted(found, key=lambda each: (order[each[0].frame], -_mean(each[1]))):
        published = item.published_f1
        yield (
            ", ".join((labels[item.run_id], *item.remarks)),
            frames[item.frame],
            item.selection,
            *_shown(f1),
            "–" if published is None else f"{published:.2f}",
            f"{'' if item.is_complete else 'partial '}{item.n_done}/{item.n_expected}",
            item.run_id[:8],
        )


def _summary(item: Validation) -> Summary | None:
    return item.summary() if item.is_complete else item.summary_so_far()


def _mean(f1: Summary | None) -> float:
    return -math.inf if f1 is None else f1.mean


def _shown(f1: Summary | None) -> tuple[str, str]:
    """Return score and interval."""
    if f1 is None:
        return "–", "–"
    deviation = "" if math.isnan(f1.std) else f" ± {100 * f1.std:.2f}"
    interval = "–" if math.isnan(f1.low) else f"{100 * f1.low:.1f} to {100 * f1.high:.1f}"
    return f"{100 * f1.mean:.2f}{deviation}", interval
