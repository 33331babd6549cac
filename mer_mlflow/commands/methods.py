"""methods: list of the methodologies, with inputs and published scores."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from mer_mlflow.commands.command import OK
from mer_mlflow.experiments.text import parse
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.terminal import console
from mer_mlflow.training import Method

ORIGINAL = "original-4qaed"
PRINTED_WIDTH = 150


def main(arguments: Sequence[str]) -> int:
    """Print a line for each methodology."""
    parse((), arguments)
    table = Table(title="Methodologies", title_justify="left")
    for column in ("method", "title", "reads", "library", "copies"):
        table.add_column(column)
    table.add_column("published F1 [%]", justify="right")
    table.add_column("summary")
    for method in map(get_method, method_names()):
        published = method.published.get(ORIGINAL)
        table.add_row(
            method.name,
            method.title,
            inputs_text(method),
            method.framework,
            str(len(method.augmentations) or ""),
            f"{published.f1:.2f}" if published else "",
            method.summary,
        )
    console(width=PRINTED_WIDTH).print(table)
    print(f"published: macro F1 on {ORIGINAL}; `mer train --method NAME --help` lists parameters")
    return OK


def inputs_text(method: Method) -> str:
    """Return the names of what a methodology reads."""
    names = (item.table or item.network or type(item).__name__.lower() for item in method.inputs)
    return ", ".join(dict.fromkeys(names))
