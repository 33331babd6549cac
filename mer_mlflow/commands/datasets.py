"""datasets: list of the datasets, with published facts."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mer_mlflow.commands.command import OK
from mer_mlflow.datasets import dataset_names, get_dataset
from mer_mlflow.experiments.text import parse
from mer_mlflow.terminal import console

PRINTED_WIDTH = 150


def main(arguments: Sequence[str]) -> int:
    """Print a line for each dataset."""
    parse((), arguments)
    table = Table(title="Datasets", title_justify="left")
    for column in ("dataset", "title"):
        table.add_column(column)
    table.add_column("clips", justify="right")
    for column in ("needs data_root", "summary", "licence", "citation"):
        table.add_column(column, overflow="fold")
    for dataset in map(get_dataset, dataset_names()):
        counts = dataset.published_counts
        table.add_row(
            dataset.name,
            dataset.title,
            str(sum(counts.values())) if counts else "",
            "yes" if dataset.needs_root else "no",
            dataset.summary,
            dataset.licence,
            dataset.citation,
        )
    console(width=PRINTED_WIDTH).print(table)
    return OK
