"""mlproject: write the MLproject file from the declarations of entry points and methods."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from mer_mlflow.commands.parameters import (
    AUGMENT,
    EXPORT,
    IMPORT,
    METHOD,
    PREPARE,
    REPORT,
    SEARCH,
    SEARCHED,
    STUDY,
    SYNC,
    TRAIN,
    WEIGHTS,
)
from mer_mlflow.commands.train import hyperparameter_options
from mer_mlflow.experiments import Parameter
from mer_mlflow.methods import get_method, method_names

HEADER = """\
# Made by `make mlproject` from the declarations in entrypoints/ and mer_mlflow/methods/.
# An empty default leaves the choice to the command.
name: mer_mlflow

python_env: python_env.yaml

entry_points:
"""
TYPES = {str: "string", bool: "string", dict: "string", int: "float", float: "float"}
"""MLproject knows no integers and no truth values; an empty default makes a number a string."""


def mlproject() -> str:
    """Text of the MLproject file."""
    entries = [
        _entry("train", "train", (*METHOD, *TRAIN), "Cross-validate one methodology."),
        _entry("search", "search", (*METHOD, *SEARCH, *SEARCHED), "Tune one methodology."),
        _entry("study", "study", STUDY, "Run many methodologies on many datasets by a plan."),
        _entry("prepare", "prepare", PREPARE, "Check a dataset and fill the store."),
        _entry("augment", "augment", AUGMENT, "Make a synthesised copy of one clip."),
        _entry("weights", "weights", WEIGHTS, "List pretrained weights: needed, there, known."),
        _entry("report", "report", REPORT, "Build the comparison table."),
        _entry("sync", "sync", SYNC, "Deliver results that the tracking server did not take."),
        _entry("export", "export", EXPORT, "Write an experiment's runs to one archive."),
        _entry("import", "import_", IMPORT, "Write an archive's runs to an experiment."),
    ]
    for name in method_names():
        parameters = (*hyperparameter_options(name), *TRAIN)
        entries.append(_entry(name, f"train --only {name}", parameters, get_method(name).summary))
    return HEADER + "\n".join(entries)


def _entry(name: str, command: str, parameters: Sequence[Parameter], summary: str) -> str:
    lines = [f"  {name}:  # {summary}", "    parameters:"]
    for parameter in parameters:
        default = _shown(parameter.default)
        kind = "string" if parameter.default is None else TYPES[parameter.kind]
        lines.append(
            f"      {parameter.name}: {{type: {kind}, default: {default}}}  # {parameter.help}"
        )
    arguments = " ".join(f"--{item.name}={{{item.name}}}" for item in parameters)
    lines.append(f"    command: python -m mer_mlflow.commands.{command} {arguments}")
    return "\n".join(lines) + "\n"


def _shown(default: str | int | float | bool | None) -> str:
    """Empty text for no default; text in quotes, and truth values as text: YAML reads both anew."""
    if isinstance(default, bool):
        return f'"{str(default).lower()}"'
    return f'"{default or ""}"' if default is None or isinstance(default, str) else str(default)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(mlproject())
