"""Methodologies: each module of this package declares one as ``METHOD``."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module

from mer_mlflow.errors import ParameterError
from mer_mlflow.training import Method

__all__ = ["get_method", "method_names"]


@cache
def method_names() -> tuple[str, ...]:
    """Return the names of the registered methodologies."""
    return tuple(sorted(info.name for info in pkgutil.iter_modules(__path__)))


def get_method(name: str) -> Method:
    """Return a methodology by name; only its own module is imported.

    Parameters
    ----------
    name : name of a registered methodology

    Raises
    ------
    ParameterError
        If no methodology has this name.

    Examples
    --------
    >>> get_method("svm").title
    'SVM'
    """
    if name not in method_names():
        raise ParameterError(f"method={name}: unknown; methods are {', '.join(method_names())}")
    method: Method = import_module(f"{__name__}.{name}").METHOD
    return method
