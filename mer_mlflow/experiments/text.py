"""The one grammar of parameters as text: command lines, ``-P`` of MLflow, values of YAML files."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.parameter import Parameter
from mer_mlflow.training import Value

HELP = ("-h", "--help")


def parse(declared: Sequence[Parameter], arguments: Sequence[str]) -> dict[str, Any]:
    """Parse a command line of ``--name=value`` or ``--name value``.

    MLflow hands parameters over in both forms. An empty value counts as not given.

    Parameters
    ----------
    declared : what the command takes
    arguments : command line

    Returns
    -------
    value of each parameter, its default where it is not given

    Raises
    ------
    ParameterError
        If a parameter is unknown, or its value is of the wrong type or not allowed.
    SystemExit
        With code 0, once the parameters are printed, where help is requested.
    """
    if any(argument in HELP for argument in arguments[:1]):
        print(help_text(declared))
        raise SystemExit(0)
    known = {parameter.name: parameter for parameter in declared}
    values = {parameter.name: parameter.default for parameter in declared}
    for name, text in _pairs(arguments):
        if name not in known:
            raise ParameterError(f"{name}={text}: {unknown(name, known)}")
        if text.strip():
            values[name] = value_of(known[name], text.strip())
    return values


def value_of(parameter: Parameter, text: str) -> Any:
    """Value of a parameter as text.

    Raises
    ------
    ParameterError
        If it is of the wrong type or not allowed.
    """
    if parameter.kind is not dict:
        return parameter.converted(text)
    if any(text == word or text.startswith(f"{word} of ") for word in parameter.words):
        return text
    return parse_assignments(text, name=parameter.name)


def unknown(name: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    """What to say of a name that is not known: the nearest one that is, or all."""
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if near:
        return f"unknown parameter; did you mean {near[0]}?"
    return f"unknown parameter; parameters are {', '.join(known)}"


def help_text(declared: Sequence[Parameter]) -> str:
    """Parameters of a command, a line each."""
    width = max(len(parameter.name) for parameter in declared) + 2
    lines = []
    for parameter in declared:
        default = "" if parameter.default is None else f" (default: {parameter.default})"
        lines.append(f"--{parameter.name:{width}}{parameter.help}{default}")
    return "\n".join(lines)


def parse_assignments(text: str | None, *, name: str = "hyperparameters") -> dict[str, Value]:
    """Parse ``"learning_rate=0.005;batch_size=50"``.

    Parameters
    ----------
    text : as typed, None for no values
    name : of the parameter, for the error

    Raises
    ------
    ParameterError
        If a part is not ``name=value``.
    """
    values: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(";"))):
        key, separator, value = part.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise ParameterError(
                f"{name}={text}: '{part}' is not name=value; write name=value;name=value"
            )
        values[key.strip()] = value.strip()
    return values


def assignments_text(values: Mapping[str, Value]) -> str:
    """Write values so that :func:`parse_assignments` reads them."""
    return ";".join(f"{name}={value}" for name, value in values.items())


def listed(names: str | None) -> list[str]:
    """Split names with commas between them."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def listed_columns(names: str | None) -> tuple[str, ...]:
    """Split column names with commas between them; a name with a comma is in double quotes.

    Raises
    ------
    ParameterError
        If a quote is not closed.
    """
    try:
        rows = list(csv.reader([names or ""], skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise ParameterError(f"allow_columns={names}: {error}") from None
    return tuple(name.strip() for row in rows for name in row if name.strip())


def _pairs(arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    waiting = iter(arguments)
    for argument in waiting:
        if not argument.startswith("--") or argument == "--":
            raise ParameterError(f"{argument}: not a parameter; write --name=value")
        name, separator, text = argument.removeprefix("--").partition("=")
        if not separator:
            text = next(waiting, "")
        yield name, text
