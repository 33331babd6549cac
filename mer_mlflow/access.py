"""Addresses and credentials: what may be shown of them, and what to say when they are refused."""

from __future__ import annotations

import getpass
import os
from urllib.parse import quote

from mer_mlflow.credentials import redacted as redacted

UNKNOWN, FORBIDDEN = 401, 403
OTHER_HOST = "Invalid Host header"
"""MLflow's message for a host name that it is not configured for."""


def pages_address(server: str) -> str:
    """Address of MLflow's pages as a browser finds them: ``MER_PAGES``, else the server's."""
    return (os.environ.get("MER_PAGES") or redacted(server)).rstrip("/")


def user_name() -> str:
    """Name that runs carry: the tracking server's user, else the system's."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()


def run_page(address: str, experiment_id: str, run_id: str) -> str:
    """Address of a run's page.

    Parameters
    ----------
    address : of MLflow's pages
    experiment_id, run_id : of the run
    """
    return _page(address, f"experiments/{experiment_id}/runs/{run_id}")


def experiment_page(address: str, experiment_id: str) -> str:
    """Address of an experiment's page.

    Parameters
    ----------
    address : of MLflow's pages
    experiment_id : of the experiment
    """
    return _page(address, f"experiments/{experiment_id}")


def _page(address: str, place: str) -> str:
    workspace = os.environ.get("MLFLOW_WORKSPACE")
    return f"{address}/#/{place}" + (f"?workspace={quote(workspace)}" if workspace else "")


def refusal(error: BaseException) -> str | None:
    """Message for a user whose credentials a server refused; None for any other error."""
    status = _status(error)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or "nobody"
    if status == UNKNOWN:
        return (
            f"the tracking server does not know user {user} with this password; "
            "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if status == FORBIDDEN and OTHER_HOST in str(error):
        return "the tracking server has other names; see its MLFLOW_SERVER_ALLOWED_HOSTS"
    if status == FORBIDDEN:
        return f"user {user} may not do this on the tracking server; ask its admin for the right"
    return None


def _status(error: BaseException) -> int | None:
    """HTTP status in an error of MLflow's or of requests'."""
    ask = getattr(error, "get_http_status_code", None)
    if ask is not None:
        return int(ask())
    return getattr(getattr(error, "response", None), "status_code", None)
