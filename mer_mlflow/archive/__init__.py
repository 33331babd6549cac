"""Export of an experiment's runs to an archive, and import to another tracking server."""

from mer_mlflow.archive.container import open_archive
from mer_mlflow.archive.export import export_runs
from mer_mlflow.archive.restore import restore_runs

__all__ = ["export_runs", "open_archive", "restore_runs"]
