"""import: write an archive's runs and models to an experiment of this tracking server."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack

import mlflow
from mlflow import MlflowClient

from mer_mlflow.access import LOCAL_PAGES, experiment_page, pages_address, redacted
from mer_mlflow.archive import open_archive, restore_runs
from mer_mlflow.archive.container import archive_path
from mer_mlflow.archive.restore import Imported
from mer_mlflow.archive.text import check_printable
from mer_mlflow.commands.command import OK, name_run
from mer_mlflow.commands.parameters import IMPORT
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.text import parse
from mer_mlflow.progress import progress
from mer_mlflow.tracking import check_store
from mer_mlflow.tracking.views import keep_views


def import_(*, archive: str, experiment: str | None = None) -> int:
    """Verify an archive, and import runs and models that do not exist yet.

    Parameters
    ----------
    archive : file written by ``export``
    experiment : name of the target experiment, by default that of the exported one

    Returns
    -------
    exit code

    Raises
    ------
    MerError
        If the archive is damaged, or the server rejects it.
    """
    path = archive_path(archive)
    if experiment is not None:
        check_printable("experiment", experiment)
    with ExitStack() as stack:
        with progress("import: verified files") as advance:
            opened = stack.enter_context(open_archive(path, on_progress=advance))
        manifest = opened.manifest
        models = f" and {len(manifest.models)} models" if manifest.models else ""
        print(
            f"import: {len(manifest.runs)} runs{models} of experiment {manifest.experiment}, "
            f"exported {manifest.exported} from {manifest.tracking}: all checksums are correct",
            flush=True,
        )
        check_store()
        name_run(f"import {path.name}")
        name = experiment or manifest.experiment
        with progress("import") as advance:
            imported = restore_runs(MlflowClient(), opened, name, on_progress=advance)
    keep_views(MlflowClient(), imported.experiment_id)
    _print_outcome(imported, name)
    return OK


def _print_outcome(imported: Imported, name: str) -> None:
    if imported.n_new:
        begun = f", {imported.n_continued} of them continued" if imported.n_continued else ""
        print(f"import: {imported.n_new} runs are now in experiment {name}{begun}")
    if imported.n_updated:
        print(f"import: {imported.n_updated} runs of an earlier archive were updated")
    if imported.n_models:
        print(f"import: {imported.n_models} models are now in experiment {name}")
    if imported.versions:
        print(f"import: registered: {', '.join(f'models:/{each}' for each in imported.versions)}")
    for message in imported.messages:
        print(f"import: {message}")
    if not imported.n_new + imported.n_updated + imported.n_models + len(imported.versions):
        print(f"import: nothing was changed: experiment {name} has all of these runs")
    elif imported.n_known:
        print(f"import: {imported.n_known} runs existed already and were not changed")
    uri = redacted(mlflow.get_tracking_uri())
    is_local = not uri.startswith("http")
    page = experiment_page(LOCAL_PAGES if is_local else pages_address(uri), imported.experiment_id)
    print(f"look at it: {'`make ui`, then ' * is_local}{page}")


def main(arguments: Sequence[str]) -> int:
    """Run ``import``."""
    given = parse(IMPORT, arguments)
    if given["archive"] is None:
        raise ParameterError("archive: is required; give the file written by export")
    return import_(**given)
