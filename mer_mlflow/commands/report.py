"""report: comparison of all cross-validations, as HTML, tables and figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from rich.table import Table

from mer_mlflow.access import LOCAL_PAGES, pages_address, redacted
from mer_mlflow.commands.command import OK, print_where
from mer_mlflow.commands.parameters import REPORT
from mer_mlflow.crossval.splits import check_protocol
from mer_mlflow.datasets import get_dataset
from mer_mlflow.errors import TrackingError
from mer_mlflow.experiments.text import parse, split_names
from mer_mlflow.methods import get_method
from mer_mlflow.output import check_output, replace_files
from mer_mlflow.paths import given_path
from mer_mlflow.reporting.rendering import (
    REPORT_FOLDERS,
    REPORT_NAMES,
    earlier_files,
    report_files,
)
from mer_mlflow.reporting.report import build_report, read_reasons
from mer_mlflow.reporting.validations import Selection, read_validations
from mer_mlflow.terminal import cell, console, printable
from mer_mlflow.tracking import (
    Kind,
    active_run,
    check_store,
    close_abandoned,
    describe_abandoned,
    experiment_id,
    open_run,
    write,
)
from mer_mlflow.tracking.items import File, Metric

ALL = "all"
COLUMNS = ("methodology", "dataset", "setting", "tuning", "macro F1", "95 % interval", "published")


def report(
    *,
    experiment: str | None = None,
    methods: str | None = None,
    datasets: str | None = None,
    protocol: str | None = None,
    output: str = "reports",
    pages: str | None = None,
) -> int:
    """Build the report, log it to a run and write it to a folder.

    Parameters
    ----------
    experiment : comma-separated names of the experiments to read, or ``all``; by default the
        experiment of this run
    methods, datasets : comma-separated names to select, by default all
    protocol : protocol to select, by default all
    output : folder for the files
    pages : address of MLflow's web pages for links; by default that of the tracking server, else
        that of ``make ui``

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If there is no such experiment, the store is unavailable, none of the runs can be read or
        the folder is not writable.
    """
    wanted = _filters(methods, datasets, protocol)
    check_store()
    client = MlflowClient()
    requested = _experiments(client, experiment)
    folder = given_path(output, name="output")
    check_output(folder, REPORT_NAMES, folders=REPORT_FOLDERS)
    run = open_run(client, name="report")
    run_id, experiment_id = str(run.info.run_id), str(run.info.experiment_id)
    with active_run(client, run_id, kind=Kind.REPORT):
        close_abandoned(client, experiment_id, kind=Kind.REPORT, but=run_id)
        _report(client, run_id, requested or [experiment_id], folder, wanted, pages)
    print(f"report: {folder / 'report.html'} (also .md, .tex, tables/, figures/)")
    print_where(run_id, experiment_id)
    return OK


def _report(
    client: MlflowClient,
    run_id: str,
    sources: Sequence[str],
    folder: Path,
    wanted: Mapping[str, Any],
    pages: str | None,
) -> None:
    selection = read_validations(client, sources, **wanted)
    for each in selection.left_out:
        print(f"warning: {each}", flush=True)
    if selection.left_out and not selection.validations:
        raise TrackingError(
            f"none of {len(selection.left_out)} cross-validations can be read; nothing was "
            "written; see the warnings for the reasons"
        )
    server = redacted(mlflow.get_tracking_uri())
    document = build_report(
        selection,
        address=pages or (pages_address(server) if server.startswith("http") else LOCAL_PAGES),
        facts=(
            ("date", datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")),
            (
                "experiments",
                ", ".join(printable(client.get_experiment(each).name) for each in sources),
            ),
        ),
        reasons=read_reasons(
            client, sources, on_warning=lambda message: print(f"warning: {message}", flush=True)
        ),
    )
    files = dict(report_files(document))
    aside = replace_files(folder, files, kind="report", earlier=earlier_files)
    if aside is not None:
        print(f"report: files of an earlier version were moved to {aside}", flush=True)
    _print_ranking(selection)
    for source in sources:
        for message in describe_abandoned(client, source):
            print(f"warning: {message}")
    write(
        client,
        run_id,
        [
            Metric(key="n_rows", value=float(len(selection.validations))),
            *(File(name=name, content=content) for name, content in files.items()),
        ],
    )
    client.set_terminated(run_id, "FINISHED")


def _filters(methods: str | None, datasets: str | None, protocol: str | None) -> dict[str, Any]:
    """Return validated filters of the cross-validations."""
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


def _experiments(client: MlflowClient, names: str | None) -> list[str]:
    if names is None:
        return []
    if names == ALL:
        return [str(item.experiment_id) for item in client.search_experiments()]
    is_one = client.get_experiment_by_name(names.strip()) is not None  # its name has commas
    chosen = [names.strip()] if is_one else split_names(names)
    return [experiment_id(client, name, create=False) for name in chosen]


def _print_ranking(selection: Selection) -> None:
    table = Table(title="Macro F1 in per cent, mean ± sd over folds")
    for column in (*COLUMNS, "folds", "run"):
        table.add_column(column, justify="left" if column in COLUMNS[:4] else "right")
    frames = selection.frame_titles()
    for item in selection.validations:
        score, interval = f"partial {item.n_done}/{item.n_expected}", "–"
        if item.is_complete:
            f1 = item.summary()
            deviation = "" if f1.std != f1.std else f" ± {100 * f1.std:.2f}"
            score = f"{100 * f1.mean:.2f}{deviation}"
            interval = "–" if f1.low != f1.low else f"{100 * f1.low:.1f} to {100 * f1.high:.1f}"
        published = item.published_f1
        row = (
            item.title,
            frames[item.frame],
            ", ".join(item.remarks) or "–",
            item.selection,
            score,
            interval,
            "–" if published is None else f"{published:.2f}",
            f"{item.n_done}/{item.n_expected}",
            item.run_id[:8],
        )
        table.add_row(*map(cell, row))
    console(width=150).print(table)
    if not selection.validations:
        print("no cross-validations in this experiment yet: run `mlflow run . -e train` first")


def main(arguments: Sequence[str]) -> int:
    """Run ``report``."""
    return report(**parse(REPORT, arguments))
