"""Importing the package changes nothing: no environment variable, no level of a log."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import mer_mlflow

KNOWN = {frozenset(("arithmetic", "networks")), frozenset(("methods", "training"))}
"""Modules whose functions import one another when they are called, or for an example."""
CODE = """
import json
import logging
import os
import pkgutil
import sys
from importlib import import_module

import matplotlib, mlflow.store.tracking.sqlalchemy_store, optuna, sklearn  # they change some

before = dict(os.environ)
backend = dict.__getitem__(matplotlib.rcParams, "backend")
levels = {name: logging.getLogger(name).level for name in logging.root.manager.loggerDict}
import mer_mlflow

for package in ("augmentation", "checks", "commands", "crossval", "datasets", "experiments",
                "methods", "archive", "deployment", "reporting", "representations", "studies",
                "tracking", "transfer", "tuning"):
    folder = import_module(f"mer_mlflow.{package}")
    for info in pkgutil.walk_packages(folder.__path__, f"{folder.__name__}."):
        import_module(info.name)
print(json.dumps({
    "variables": sorted(set(before.items()) ^ set(os.environ.items())),
    "levels": [name for name, level in levels.items() if logging.getLogger(name).level != level],
    "backend": dict.__getitem__(matplotlib.rcParams, "backend") == backend,
    "networks": [name for name in ("keras", "tensorflow", "torch") if name in sys.modules],
}))
"""


def test_importing_changes_nothing_and_loads_no_framework() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env={name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    assert found == {"variables": [], "levels": [], "backend": True, "networks": []}


def test_what_mlflow_loads_with_itself_is_light() -> None:
    code = (
        "import sys; import mer_mlflow.mlflow_store; print({'mlflow', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    assert done.stdout == "set()\n"


def test_mlflow_accepts_the_store() -> None:
    code = "import mlflow; print(mlflow.MlflowClient)"
    subprocess.run([sys.executable, "-W", "error::UserWarning", "-c", code], check=True)


def test_no_two_packages_import_each_other() -> None:
    root = Path(mer_mlflow.__file__).parent
    used: dict[str, set[str]] = {}
    for path in root.rglob("*.py"):
        inside = path.relative_to(root).with_suffix("").parts[0]
        nodes = ast.walk(ast.parse(path.read_text()))
        modules = (node.module or "" for node in nodes if isinstance(node, ast.ImportFrom))
        own = (module.split(".") for module in modules if module.startswith("mer_mlflow."))
        used.setdefault(inside, set()).update({each[1] for each in own} - {inside})
    circles = {
        frozenset((one, other)) for one in used for other in used[one] if one in used.get(other, ())
    }
    assert circles == KNOWN
