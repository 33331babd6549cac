"""mlflow_store: plugin of MLflow that creates a local database completely or not at all.

MLflow loads this plugin in every environment in which the project is installed. Its imports slow
down every program that uses MLflow, so they are few.
"""

from __future__ import annotations

from typing import Any


def open_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """Open a tracking store of the scheme ``sqlite``.

    Parameters
    ----------
    store_uri : URL of the database
    artifact_uri : location of artifacts, by default that of MLflow

    Returns
    -------
    the tracking store, as opened by MLflow

    Raises
    ------
    TrackingError
        If the database cannot be used.
    """
    from mlflow.tracking._tracking_service.utils import _get_sqlalchemy_store

    from mer_mlflow.tracking.database import mlflow_schema, prepare_database

    prepare_database(store_uri, mlflow_schema())
    return _get_sqlalchemy_store(store_uri, artifact_uri)  # type: ignore[no-untyped-call]
