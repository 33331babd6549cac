"""environment: make ``mlflow run .`` use the project's existing virtual environment.

MLflow searches the environment of an MLproject in a folder whose name is a hash of its
requirements. This command creates a link with that name to the current environment.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mlflow.environment_variables import MLFLOW_ENV_ROOT
from mlflow.utils.environment import _PythonEnv
from mlflow.utils.virtualenv import _get_virtualenv_name


def link_environment(project: Path, environment: Path, *, root: Path) -> Path:
    """Create a link to an environment, with MLflow's name for the environment of a project.

    Parameters
    ----------
    project : folder of the MLproject file
    environment : virtual environment to use
    root : MLflow's folder of environments

    Returns
    -------
    the link, which replaces an existing one
    """
    declared = _PythonEnv.from_yaml(project / "python_env.yaml")  # type: ignore[no-untyped-call]
    name: str = _get_virtualenv_name(declared, project)  # type: ignore[no-untyped-call]
    link = root / name
    if link.is_dir() and not link.is_symlink():
        return link
    link.parent.mkdir(parents=True, exist_ok=True)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(environment, target_is_directory=True)
    return link


if __name__ == "__main__":
    link_environment(
        Path(__file__).parents[2],
        Path(sys.prefix),
        root=Path(MLFLOW_ENV_ROOT.get()),  # type: ignore[no-untyped-call]
    )
