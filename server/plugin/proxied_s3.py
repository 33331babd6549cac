"""S3 as a place for artifacts that MLflow's server alone can reach.

MLflow sends whoever downloads an artifact to S3 with a signed address, browsers too, as soon as its
repository of artifacts can make one. This one cannot: all files pass through the server, so that
the object store needs no port and no name outside. The folder beside this file registers it with
MLflow.
"""

from __future__ import annotations

from typing import Any

from mlflow.entities import FileInfo
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.s3_artifact_repo import S3ArtifactRepository

SCHEME = "proxied-s3"


class ProxiedS3ArtifactRepository(ArtifactRepository):  # type: ignore[misc]
    """Hands everything to MLflow's repository on S3 but the making of signed addresses."""

    def __init__(self, artifact_uri: str, *arguments: Any, **named: Any) -> None:
        super().__init__(artifact_uri, *arguments, **named)
        s3_uri = artifact_uri.replace(SCHEME, "s3", 1)
        self._s3 = S3ArtifactRepository(s3_uri, *arguments, **named)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        self._s3.log_artifact(local_file, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        self._s3.log_artifacts(local_dir, artifact_path)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        return list(self._s3.list_artifacts(path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        self._s3.delete_artifacts(artifact_path)

    def _download_file(self, remote_file_path: str, local_path: str) -> None:
        self._s3._download_file(remote_file_path, local_path)
