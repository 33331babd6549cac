"""The one grammar of parameters as text: command lines, ``-P`` of MLflow, values of YAML files."""

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

    MLflow hands parameters over in both forms. An empty value counts as not given.

    Parameters
    ----------
    declared : what the command takes
    arguments : command line

    Returns
    -------
    value of each parameter, the last one where it is given again, its default where it is not given

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
    """Parse YAML of one mapping from names to values.

    Parameters
    ----------
    declared : what may be given
    text : YAML; an empty value counts as not given

    Returns
    -------
    value of each parameter, its default where it is not given

    Raises
    ------
    ParameterError
        If the text is no such mapping, a parameter is unknown, or its value is of the wrong type or
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


def unknown(name: str, known: Sequence[str] | Mapping[str, Any], *, what: str = "parameter") -> str:
    """What to say of a name that is not known: the nearest one that is, or all.

    Parameters
    ----------
    name : as given
    known : names that are known
    what : what the names are of
    """
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    if near:
        return f"unknown {what}; did you mean {near[0]}?"
    return f"unknown {what}; {what}s are {', '.join(known)}"


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


def split_names(names: str | None) -> list[str]:
    """Split names with commas between them."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def split_columns(names: str | None) -> tuple[str, ...]:
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


def pairs(declared: Sequence[Parameter], arguments: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Names and values of a command line, as text.

    A value may begin with ``-``. Names may be written with ``-`` for ``_``, and a parameter that is
    true or false is true where no value follows.

    Parameters
    ----------
    declared : what the command takes; another name takes a value too
    arguments : command line

    Raises
    ------
    ParameterError
        If an argument is no parameter, or one has no value.
    """
    switches = {parameter.name for parameter in declared if parameter.kind is bool}
    waiting = deque(arguments)
    while waiting:
        argument = waiting.popleft()
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
