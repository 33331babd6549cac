"""export: write the runs of an experiment, with their artifacts and models, to an archive."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

import mlflow
from mlflow import MlflowClient

from mer_mlflow.access import redacted
from mer_mlflow.archive import export_runs
from mer_mlflow.archive.container import archive_path, check_target
from mer_mlflow.archive.text import check_printable
from mer_mlflow.commands.command import OK, name_run
from mer_mlflow.commands.parameters import EXPORT
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.text import parse
from mer_mlflow.progress import progress
from mer_mlflow.tracking import check_store, current_experiment, experiment_id, is_untouched

MIB = 2**20
ODD = re.compile(r"[^\w.-]+")
"""Characters that are allowed in names of experiments, but unsuitable for files."""


def export(*, experiment: str | None = None, archive: str | None = None) -> int:
    """Write an experiment's runs to an archive, and print what is left out.

    Parameters
    ----------
    experiment : name of the experiment, by default that of this run
    archive : file to write, by default the experiment's name with ``.zip`` appended

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If there is nothing to export, or the archive exists already or cannot be written.
    """
    uri = mlflow.get_tracking_uri()
    if is_untouched(uri):
        raise ParameterError(
            f"there is no tracking store {redacted(uri)}; check MLFLOW_TRACKING_URI"
        )
    check_store()
    client = MlflowClient()
    experiment_id = _experiment(client, experiment)
    name = str(client.get_experiment(experiment_id).name)
    target = archive_path(archive or f"{ODD.sub('_', name)}.zip")
    check_target(target)
    name_run(f"export {target.name}")
    with progress("export: runs") as advance:
        exported = export_runs(client, experiment_id, target, on_progress=advance)
    if exported.closed:
        print(
            f"export: not finished: {_counted(exported.closed)}; exported as interrupted, "
            "with their finished folds"
        )
    if exported.left_out:
        print(f"export: not finished: {_counted(exported.left_out)}; left out")
    print(
        f"export: {_counted(exported.counts)} of experiment {name} in {target} "
        f"({exported.size / MIB:.1f} MiB)"
    )
    print(f"on the other machine: mlflow run . -e import -P archive={target.name}")
    return OK


def _experiment(client: MlflowClient, given: str | None) -> str:
    """Return the id of the experiment to read; a missing one is not created."""
    if given is not None:
        check_printable("experiment", given)
    name = given
    if name is None and not os.environ.get("MLFLOW_RUN_ID"):
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    return current_experiment(client) if name is None else experiment_id(client, name, create=False)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def main(arguments: Sequence[str]) -> int:
    """Run ``export``."""
    return export(**parse(EXPORT, arguments))
