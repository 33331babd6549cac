"""Moving: an experiment's runs as one archive, out of one tracking server and into another."""

from mer_mlflow.archive.container import open_archive
from mer_mlflow.archive.export import export_runs
from mer_mlflow.archive.restore import restore_runs

__all__ = ["export_runs", "open_archive", "restore_runs"]
