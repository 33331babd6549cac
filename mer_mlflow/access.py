"""Addresses and credentials: how to display them, and error messages for rejected ones."""

from __future__ import annotations

import getpass
import os
from urllib.parse import quote

from mer_mlflow.credentials import redacted as redacted

UNKNOWN, FORBIDDEN = 401, 403
LOCAL_PAGES = "http://127.0.0.1:5000"
"""Address of ``make ui``, for a store without a server."""
RUNS = "workflowType=machine_learning"
"""Query by which MLflow's pages show runs and models, not traces of language models."""
LEADERBOARD, SEARCHES = "leaderboard", "searches"
"""Names of the views that are saved in experiments."""
SHARED_VIEW = "viewStateShareKey"
"""Query by which MLflow's pages open a saved view."""
OTHER_HOST = "Invalid Host header"
"""MLflow's error message for a host name that is not configured."""


def pages_address(server: str) -> str:
    """Return the address of MLflow's web pages: ``MER_PAGES``, by default the server's address."""
    return (os.environ.get("MER_PAGES") or redacted(server)).rstrip("/")


def user_name() -> str:
    """Return the user name recorded in runs: the tracking server's user, else the system's."""
    return os.environ.get("MLFLOW_TRACKING_USERNAME") or getpass.getuser()


def run_page(address: str, experiment_id: str, run_id: str) -> str:
    """Return the address of a run's page.

    Parameters
    ----------
    address : address of MLflow's web pages
    experiment_id, run_id : ids of the run and its experiment
    """
    return f"{address}/{run_place(experiment_id, run_id)}"


def experiment_page(address: str, experiment_id: str, *, view: str = LEADERBOARD) -> str:
    """Return the address of an experiment's page.

    Parameters
    ----------
    address : address of MLflow's web pages
    experiment_id : id of the experiment
    view : name of a saved view
    """
    return f"{address}/{experiment_place(experiment_id, view=view)}"


def run_place(experiment_id: str, run_id: str, *, artifact: str = "") -> str:
    """Return the link from one of MLflow's pages to a run, or to an artifact of it."""
    below = f"/artifacts/{artifact}" if artifact else ""
    return _place(f"experiments/{experiment_id}/runs/{run_id}{below}")


def experiment_place(experiment_id: str, *, view: str = "") -> str:
    """Return the link from one of MLflow's pages to an experiment's runs, or to a saved view."""
    shown = f"&{SHARED_VIEW}={view}" if view else ""
    return _place(f"experiments/{experiment_id}/runs") + shown


def _place(path: str) -> str:
    workspace = os.environ.get("MLFLOW_WORKSPACE")
    which = f"&workspace={quote(workspace)}" if workspace else ""
    return f"#/{path}?{RUNS}{which}"


def refusal(error: BaseException) -> str | None:
    """Return a message for rejected credentials; None for any other error."""
    status = _status(error)
    user = os.environ.get("MLFLOW_TRACKING_USERNAME") or "nobody"
    if status == UNKNOWN:
        return (
            f"the tracking server rejected the name or password of user {user}; "
            "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    if status == FORBIDDEN and OTHER_HOST in str(error):
        return "the tracking server rejects this host name; see its MLFLOW_SERVER_ALLOWED_HOSTS"
    if status == FORBIDDEN:
        return f"user {user} has no permission for this on the tracking server; ask its admin"
    return None


def _status(error: BaseException) -> int | None:
    """Return the HTTP status of an error raised by MLflow or requests."""
    ask = getattr(error, "get_http_status_code", None)
    if ask is not None:
        return int(ask())
    return getattr(getattr(error, "response", None), "status_code", None)
