"""report: build the comparison table from the runs of an experiment."""

from __future__ import annotations

import sys

from mlflow import MlflowClient
from rich.console import Console
from rich.table import Table

from entrypoints.command import OK, print_where, run_command
from entrypoints.parameters import REPORT, parse
from mer_mlflow.reporting.comparison import COLUMNS, comparison_rows, to_frame, to_markdown
from mer_mlflow.tracking import Kind, check_store, experiment_id, open_run, write
from mer_mlflow.tracking.items import File, Metric, Tag


def report(*, experiment: str | None = None) -> int:
    """Print and log the comparison table.

    Parameters
    ----------
    experiment : name of the experiment to read, by default the one this run belongs to

    Returns
    -------
    exit code

    Raises
    ------
    ParameterError
        If there is no such experiment.
    """
    check_store()
    client = MlflowClient()
    asked = None if experiment is None else experiment_id(client, experiment, create=False)
    run = open_run(client, name="report")
    run_id, source = run.info.run_id, asked or run.info.experiment_id
    rows = comparison_rows(client, source)
    frame = to_frame(rows)
    table = Table(title="Comparison: macro scores in per cent, mean ± sd over folds")
    for column in COLUMNS:
        table.add_column(column, justify="left" if column in COLUMNS[:4] else "right")
    for cells in frame.itertuples(index=False):
        table.add_row(*cells)
    Console(width=None if sys.stdout.isatty() else 150).print(table)
    if not rows:
        print("no cross-validations in this experiment yet: run `mlflow run . -e train` first")
    write(
        client,
        run_id,
        [
            Tag(key="mer.kind", value=Kind.REPORT),
            Metric(key="n_rows", value=float(len(rows))),
            File(name="comparison.md", content=to_markdown(rows).encode()),
            File(name="comparison.csv", content=frame.to_csv(index=False).encode()),
        ],
    )
    client.set_terminated(run_id, "FINISHED")
    print_where(run_id, run.info.experiment_id)
    return OK


if __name__ == "__main__":
    run_command(lambda: report(**parse(REPORT, sys.argv[1:])))
