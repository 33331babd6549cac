"""environment: let ``mlflow run .`` use the project's virtual environment as it stands.

MLflow looks for the environment of an MLproject in a folder named by a hash of its requirements,
and uses what it finds there. This command links that name to the environment it runs in.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mlflow.environment_variables import MLFLOW_ENV_ROOT
from mlflow.utils.environment import _PythonEnv
from mlflow.utils.virtualenv import _get_virtualenv_name


def link_environment(project: Path, environment: Path, *, root: Path) -> Path:
    """Link the name that MLflow computes for a project to an environment.

    Parameters
    ----------
    project : folder with the MLproject
    environment : virtual environment to use for it
    root : where MLflow keeps environments

    Returns
    -------
    the link; one that stood there for another environment is replaced
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
