"""mlflow_store: MLflow's own commands, too, make a local database whole or not at all.

MLflow finds this plugin in the environment that the project is installed in, and loads it with
itself: what is imported here is imported by every program that uses MLflow.
"""

from __future__ import annotations

from typing import Any


def open_store(store_uri: str, artifact_uri: str | None = None) -> Any:
    """Open a tracking store of the scheme ``sqlite``.

    Parameters
    ----------
    store_uri : URL of the database
    artifact_uri : where artifacts are kept, by default where MLflow keeps them

    Returns
    -------
    the store, as MLflow opens it

    Raises
    ------
    TrackingError
        If the database cannot be used.
    """
    from mlflow.tracking._tracking_service.utils import _get_sqlalchemy_store

    from mer_mlflow.tracking.database import mlflow_schema, prepare_database

    prepare_database(store_uri, mlflow_schema())
    return _get_sqlalchemy_store(store_uri, artifact_uri)  # type: ignore[no-untyped-call]
