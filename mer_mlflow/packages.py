"""Packages that some methodologies need, looked for without importing them."""

from __future__ import annotations

from importlib.util import find_spec

from mer_mlflow.errors import ParameterError


def require_package(name: str, *, needed_by: str) -> None:
    """Make sure that a package is installed.

    Parameters
    ----------
    name : as it is imported
    needed_by : what cannot work without it, for the error

    Raises
    ------
    ParameterError
        If it is not.
    """
    try:
        is_there = find_spec(name) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        raise ParameterError(
            f"{needed_by} needs the package {name}, which is not installed in this environment"
        )
