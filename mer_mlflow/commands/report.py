"""report: comparison of all cross-validations, as HTML, tables and figures."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import mlflow
from mlflow import MlflowClient

from mer_mlflow.access import LOCAL_PAGES, pages_address, redacted
from mer_mlflow.commands.command import OK, name_run, print_where
from mer_mlflow.commands.parameters import REPORT
from mer_mlflow.commands.ranking import (
    NOTHING,
    PRINTED_WIDTH,
    filters,
    ranking_table,
    requested_experiments,
)
from mer_mlflow.datasets import dataset_names, get_dataset, load_dataset
from mer_mlflow.errors import MerError, ParameterError, TrackingError
from mer_mlflow.experiments.text import parse, unknown
from mer_mlflow.output import check_output, replace_files
from mer_mlflow.paths import given_path
from mer_mlflow.reporting.descriptions import ClipDescriptions, describe_clips
from mer_mlflow.reporting.document import Document, Table
from mer_mlflow.reporting.rendering import (
    REPORT_FOLDERS,
    REPORT_NAMES,
    earlier_files,
    report_files,
    tables,
    to_csv,
    to_json,
    to_latex_table,
    to_markdown_table,
)
from mer_mlflow.reporting.report import build_report, read_reasons
from mer_mlflow.reporting.validations import Selection, read_validations
from mer_mlflow.studies.roots import DataRoots, locate, parse_data_roots
from mer_mlflow.terminal import console, printable
from mer_mlflow.tracking import (
    Kind,
    active_run,
    check_store,
    close_abandoned,
    current_experiment,
    describe_abandoned,
    open_run,
    write,
)
from mer_mlflow.tracking.items import File, Metric

WRITERS: Mapping[str, Callable[[Table], str]] = MappingProxyType(
    {"markdown": to_markdown_table, "csv": to_csv, "latex": to_latex_table, "json": to_json}
)
"""Function that writes a table, by format."""
RANKING = "ranking"


def report(
    *,
    experiment: str | None = None,
    methods: str | None = None,
    datasets: str | None = None,
    protocol: str | None = None,
    data_root: str | None = None,
    format: str | None = None,
    table: str | None = None,
    output: str = "reports",
    pages: str | None = None,
) -> int:
    """Build the report, log it to a run and write it to a folder; or print one of its tables.

    Parameters
    ----------
    experiment : comma-separated names of the experiments to read, or ``all``; by default the
        experiment of this run
    methods, datasets : comma-separated names to select, by default all
    protocol : protocol to select, by default all
    data_root : folder of the datasets, or ``"original-4qaed=/a;new-4qaed-c=/b"``, for names and
        audio of clips; by default ``MER_DATA_ROOT``
    format : ``markdown``, ``csv``, ``latex`` or ``json`` to print one table, and to write nothing
    table : name of that table, by default the ranking
    output : folder for the files
    pages : address of MLflow's web pages for links; by default that of the tracking server, else
        that of ``make ui``

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If there is no such experiment or table, the store is unavailable, none of the runs can be
        read or the folder is not writable.
    """
    wanted = filters(methods, datasets, protocol)
    roots = parse_data_roots(data_root)
    if table is not None and format is None:
        raise ParameterError(f"table={table}: give format=markdown, csv, latex or json too")
    check_store()
    client = MlflowClient()
    source = Source(
        client=client,
        experiments=requested_experiments(client, experiment),
        wanted=wanted,
        roots=roots,
        pages=pages,
    )
    if format is not None:
        return _print_table(source, table or RANKING, format)
    folder = given_path(output, name="output")
    check_output(folder, REPORT_NAMES, folders=REPORT_FOLDERS)
    run = open_run(client, name="report")
    run_id, experiment_id = str(run.info.run_id), str(run.info.experiment_id)
    with active_run(client, run_id, kind=Kind.REPORT):
        close_abandoned(client, experiment_id, kind=Kind.REPORT, but=run_id)
        if not source.experiments:
            source = replace(source, experiments=[experiment_id])
        _write_report(source, run_id, folder)
    print(f"report: {folder / 'report.html'} (also .md, .tex, tables/, figures/)")
    print_where(run_id, experiment_id)
    return OK


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a report is made of.

    Attributes
    ----------
    client : client of the tracking server
    experiments : ids of the experiments to read
    wanted : filters of the cross-validations
    roots : folders of the datasets
    pages : address of MLflow's web pages, None for the default
    """

    client: MlflowClient
    experiments: Sequence[str]
    wanted: Mapping[str, Any]
    roots: DataRoots
    pages: str | None


def _print_table(source: Source, name: str, format: str) -> int:
    """Print one table; everything else goes to the error output."""
    with redirect_stdout(sys.stderr):
        if not source.experiments:
            source = replace(source, experiments=[current_experiment(source.client)])
        selection = _read(source)
        if not selection.complete:
            none_yet = "no cross-validation is complete yet: see `mer leaderboard`"
            raise TrackingError(none_yet if selection.validations else NOTHING)
        table = _find_table(_document(source, selection, Path()), name)
        name_run(f"report: table {table.name}")
    print(WRITERS[format](table), end="")
    return OK


def _find_table(document: Document, name: str) -> Table:
    """Return the table of a name; a number at its end may be omitted if there is only one."""
    all_tables = {table.name: table for table in tables(document)}
    found = [each for each in all_tables if each in (name, f"{name}-{_number(each)}")]
    if not found:
        raise ParameterError(f"table={name}: {unknown(name, all_tables, what='table')}")
    if len(found) > 1:
        titles = ", ".join(f"{each} ({all_tables[each].title})" for each in found)
        raise ParameterError(
            f"table={name}: there are several, name one of them or select by datasets and "
            f"protocol: {titles}"
        )
    return all_tables[found[0]]


def _number(name: str) -> str:
    last = name.rpartition("-")[2]
    return last if last.isdigit() else ""


def _write_report(source: Source, run_id: str, folder: Path) -> None:
    client, selection = source.client, _read(source)
    files = dict(report_files(_document(source, selection, folder)))
    aside = replace_files(folder, files, kind="report", earlier=earlier_files)
    if aside is not None:
        print(f"report: files of an earlier version were moved to {aside}", flush=True)
    if selection.validations:
        console(width=PRINTED_WIDTH).print(ranking_table(selection))
    else:
        print(NOTHING)
    for experiment in source.experiments:
        for message in describe_abandoned(client, experiment):
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


def _read(source: Source) -> Selection:
    selection = read_validations(source.client, source.experiments, **source.wanted)
    for each in selection.left_out:
        _warn(each)
    if selection.left_out and not selection.validations:
        raise TrackingError(
            f"none of {len(selection.left_out)} cross-validations can be read; nothing was "
            "written; see the warnings for the reasons"
        )
    return selection


def _document(source: Source, selection: Selection, folder: Path) -> Document:
    client, server = source.client, redacted(mlflow.get_tracking_uri())
    pages = pages_address(server) if server.startswith("http") else LOCAL_PAGES
    names = (printable(client.get_experiment(each).name) for each in source.experiments)
    return build_report(
        selection,
        address=source.pages or pages,
        facts=(
            ("date", datetime.now(tz=UTC).strftime("%Y-%m-%d %H:%M UTC")),
            ("experiments", ", ".join(names)),
        ),
        reasons=read_reasons(client, source.experiments, on_warning=_warn),
        descriptions=[each.relative_to(folder) for each in _descriptions(source.roots, selection)],
    )


def _descriptions(roots: DataRoots, selection: Selection) -> Iterator[ClipDescriptions]:
    """Yield descriptions of the clips of each dataset that is at hand."""
    used = dict.fromkeys(item.dataset for item in selection.complete)
    names = [name for name in used if name in dataset_names()]
    for name, root in locate(names, given=roots, planned={}).items():
        if root is None and get_dataset(name).needs_root:
            continue
        try:
            yield describe_clips(load_dataset(name, root))
        except MerError as error:
            _warn(f"clips of {name} are not named: {error}")


def _warn(message: object) -> None:
    print(f"warning: {message}", flush=True)


def main(arguments: Sequence[str]) -> int:
    """Run ``report``."""
    return report(**parse(REPORT, arguments))
