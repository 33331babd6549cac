"""Packages that some methodologies need; they are detected without an import."""

from __future__ import annotations

from importlib.util import find_spec

from mer_mlflow.errors import ParameterError

EXTRAS = {
    "keras": "tensorflow",
    "tensorflow": "tensorflow",
    "torch": "torch",
    "audiomentations": "augment",
    "python_stretch": "augment",
    "smote_variants": "augment",
    "jams": "jams",
    "distributed": "cluster",
    "dask_jobqueue": "cluster",
    "shap": "explain",
    "gradio": "page",
}
"""Extra of this project that installs a package."""


def require_package(name: str, *, needed_by: str) -> None:
    """Check that a package is installed.

    Parameters
    ----------
    name : name by which it is imported
    needed_by : what needs the package, for the error message

    Raises
    ------
    ParameterError
                If it is not installed.
    """
    try:
        is_there = find_spec(name) is not None
    except (ImportError, ValueError):
        is_there = False
    if not is_there:
        extra = EXTRAS.get(name)
        advice = f"; pip install 'mer_mlflow[{extra}]'" if extra else ""
        raise ParameterError(
            f"{needed_by} needs the package {name}, which is not installed in this environment"
            f"{advice}"
        )
