"""Parsing of parameters: command lines, ``-P`` of MLflow, and values of YAML files."""

from __future__ import annotations

import csv
import difflib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import yaml

from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.parameter import Parameter
from mer_mlflow.training import Value


def parse(declared: Sequence[Parameter], arguments: Sequence[str]) -> dict[str, Any]:
    """Parse a command line of ``--name=value`` or ``--name value``.

    MLflow passes parameters in both forms. An empty value counts as not given.

    Parameters
    ----------
    declared : parameters of the command
    arguments : command line

    Returns
    -------
    value of each parameter: the last one if it is given several times, the default if not given

    Raises
    ------
    ParameterError
        If a parameter is unknown, or its value is of the wrong type or not allowed.
    """
    known = {parameter.name: parameter for parameter in declared}
    values = {parameter.name: parameter.default for parameter in declared}
    for name, text in pairs(declared, arguments):
        if name not in known:
            raise ParameterError(f"{name}={text}: {unknown(name, known)}")
        if text.strip():
            values[name] = value_of(known[name], text.strip())
    return values


def read_yaml(declared: Sequence[Parameter], text: str) -> dict[str, Any]:
    """Parse YAML with one mapping from names to values.

    Parameters
    ----------
    declared : declared parameters
    text : YAML; an empty value counts as not given

    Returns
    -------
    value of each parameter; the default if not given

    Raises
    ------
    ParameterError
        If the text is not a mapping, a parameter is unknown, or its value is of the wrong type or
        not allowed.
    """
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ParameterError(f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(given, dict | None):
        raise ParameterError("not a mapping; write a line `name: value` for each parameter")
    known = {parameter.name: parameter for parameter in declared}
    values: dict[str, Any] = {parameter.name: parameter.default for parameter in declared}
    for name, value in (given or {}).items():
        if name not in known:
            raise ParameterError(f"{name}: {unknown(str(name), known)}")
        if isinstance(value, dict) and known[name].kind is dict:
            values[name] = value
        elif isinstance(value, dict | list):
            raise ParameterError(f"{name}: must be one value, not several")
        elif value is not None and str(value).strip():
            text_of = str(value).lower() if isinstance(value, bool) else str(value).strip()
            values[name] = value_of(known[name], text_of)
    return values


def value_of(parameter: Parameter, text: str) -> Any:
    """Convert the text of a parameter to its value.

    Raises
    ------
    ParameterError
        If it is of the wrong type or not allowed.
    """
    if parameter.kind is not dict:
        return parameter.converted(text)
    if any(text == word or text.startswith(f"{word} of ") for word in parameter.keywords):
        return text
    return parse_assignments(text, name=parameter.name)


def unknown(name: str, known: Sequence[str] | Mapping[str, Any], *, what: str = "parameter") -> str:
    """Return a message about an unknown name, with the most similar known name, or with all.

    Parameters
    ----------
    name : the given name
    known : known names
    what : kind of the names
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if near:
        return f"unknown {what}; did you mean {near[0]}?"
    return f"unknown {what}; {what}s are {', '.join(known)}"


def parse_assignments(text: str | None, *, name: str = "hyperparameters") -> dict[str, Value]:
    """Parse ``"learning_rate=0.005;batch_size=50"``.

    Parameters
    ----------
    text : given text, None for no values
    name : name of the parameter, for the error message

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
    """Format values for :func:`parse_assignments`."""
    return ";".join(f"{name}={value}" for name, value in values.items())


def split_names(names: str | None) -> list[str]:
    """Split comma-separated names."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def split_columns(names: str | None) -> tuple[str, ...]:
    """Split comma-separated column names; a name with a comma is in double quotes.

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


def pairs(
    declared: Sequence[Parameter], arguments: Sequence[str], *, bare: str | None = None
) -> Iterator[tuple[str, str]]:
    """Yield names and values of a command line, as text.

    A value may begin with ``-``. Names may be written with ``-`` instead of ``_``, and a Boolean
    parameter without a value is true.

    Parameters
    ----------
    declared : parameters of the command; other names need a value too
    arguments : command line
    bare : parameter to which arguments without a name belong, None if there must be none

    Raises
    ------
    ParameterError
        If an argument is not a parameter, or a value is missing.
    """
    switches = {parameter.name for parameter in declared if parameter.kind is bool}
    waiting = deque(arguments)
    while waiting:
        argument = waiting.popleft()
        if bare is not None and not argument.startswith("--"):
            yield bare, argument
            continue
        if not argument.startswith("--") or argument == "--":
            raise ParameterError(f"{argument}: not a parameter; write --name=value")
        name, separator, text = argument.removeprefix("--").partition("=")
        name = name.replace("-", "_")
        if not separator and name in switches and (not waiting or waiting[0].startswith("--")):
            text = "true"
        elif not separator:
            if not waiting:
                raise ParameterError(f"{name}: has no value; write --{name}=VALUE")
            text = waiting.popleft()
        yield name, text
