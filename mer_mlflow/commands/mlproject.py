"""mlproject: write the MLproject file from the declarations of commands and methods."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from mer_mlflow.commands.catalogue import COMMANDS, Command
from mer_mlflow.commands.parameters import METHOD
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.training import Method

HEADER = """\
# Made by `make mlproject` from the declarations in mer_mlflow/commands/ and mer_mlflow/methods/.
# Each entry takes more parameters by -P than it declares: `mer COMMAND --help` lists them. MLflow
# records in a run the parameters that are declared here, and those that were given. Hyperparameters
# are not declared: the project itself records their resolved values, as hp.NAME.
name: mer_mlflow

python_env: python_env.yaml

entry_points:
"""


def mlproject() -> str:
    """Return the text of the MLproject file."""
    commands = [_command(command) for command in COMMANDS.values() if command.is_entry]
    methods = [_method(get_method(name)) for name in method_names()]
    return HEADER + "\n".join([*commands, *methods])


def _command(command: Command) -> str:
    """Return the entry of a command; only parameters with defaults, which MLflow records."""
    module = command.module.rpartition(".")[2]
    defaults = {METHOD[0].name: str(METHOD[0].default)} if command.takes_hyperparameters else {}
    return _entry(command.name, command.summary, f"python -m entrypoints.{module}", defaults)


def _method(method: Method) -> str:
    """Return the entry of a method, with its hyperparameters as comments."""
    command = f"python -m entrypoints.train --method={method.name}"
    entry = _entry(method.name, method.summary, command, {})
    return entry + "".join(f"    # -P {key}={value}\n" for key, value in method.defaults.items())


def _entry(name: str, summary: str, command: str, defaults: Mapping[str, str]) -> str:
    lines = [f"  {name}:  # {summary}", *["    parameters:"] * bool(defaults)]
    lines += [
        f'      {key}: {{type: string, default: "{value}"}}' for key, value in defaults.items()
    ]
    arguments = "".join(f" --{key}={{{key}}}" for key in defaults)
    return "\n".join([*lines, f"    command: {command}{arguments}"]) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(mlproject())
