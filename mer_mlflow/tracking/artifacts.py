"""Reading a run's artifacts."""

from __future__ import annotations

from pathlib import Path

import mlflow.artifacts

from mer_mlflow.scratch import scratch_folder


def read_text(address: str) -> str:
    """Read an artifact that is a text.

    Parameters
    ----------
    address : of the artifact

    Raises
    ------
    MlflowException, OSError
        If it is not there, or cannot be read.
    """
    with scratch_folder() as folder:
        path = mlflow.artifacts.download_artifacts(artifact_uri=address, dst_path=str(folder))
        return Path(path).read_text()
