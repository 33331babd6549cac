"""The space that a search looks in: a tuple of values for each hyperparameter."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping

from mer_mlflow.errors import ParameterError
from mer_mlflow.training import Method, Value
from mer_mlflow.training.hyperparameters import Role

Point = dict[str, Value]
"""Hyperparameters by name."""
SearchSpace = Mapping[str, tuple[Value, ...]]


def declared_space(method: Method) -> SearchSpace:
    """Values that a method declares for its hyperparameters' search, in ascending order.

    Raises
    ------
    ParameterError
        If it declares none.
    """
    found = {name: _ordered(space.grid) for name, space in method.spaces.items() if space.grid}
    if not found:
        raise ParameterError(f"method={method.name}: declares no values to search; give space=")
    return found


def parse_space(text: str, method: Method) -> SearchSpace:
    """Read a space from text.

    Parameters
    ----------
    text : ``"learning_rate=0.001,0.01;batch_size=100,150"``; hyperparameters that it does not name
        are not searched
    method : whose hyperparameters they are

    Returns
    -------
    values by hyperparameter, in ascending order

    Raises
    ------
    ParameterError
        If the text is malformed, or a name or value is not allowed.
    """
    found: dict[str, tuple[Value, ...]] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, separator, values = (piece.strip() for piece in part.partition("="))
        listed = [value.strip() for value in values.split(",")]
        if not separator or not name or not all(listed):
            raise ParameterError(f'space={part}: write "name=value,value;name=value"')
        if name in found:
            raise ParameterError(f"space: {name} is given twice")
        if Role.INPUTS in method.roles.get(name, Role(0)):
            raise ParameterError(
                f"space: {name} says what is read of each clip; fix it by hyperparameters="
            )
        found[name] = _ordered(getattr(method.resolve({name: value}), name) for value in listed)
    if not found:
        raise ParameterError('space: names no hyperparameter; write "name=value,value;name=value"')
    return found


def resolve_space(text: str | None, method: Method) -> SearchSpace:
    """Read a space from text, or take the one that the method declares where there is none.

    Raises
    ------
    ParameterError
        If the text is malformed, a value is not allowed, or nothing is declared.
    """
    return declared_space(method) if text is None else parse_space(text, method)


def start_point(
    method: Method, space: SearchSpace, given: Mapping[str, Value] | None = None
) -> Point:
    """Point of a space that a neighbour search begins at.

    Parameters
    ----------
    method : whose defaults count where nothing is given
    space : values by hyperparameter
    given : values by hyperparameter

    Raises
    ------
    ParameterError
        If a hyperparameter is not searched or a value is not allowed.
    """
    strangers = sorted(set(given or {}) - set(space))
    if strangers:
        raise ParameterError(
            f"start: {strangers[0]} is not searched (searched are {', '.join(space)})"
        )
    resolved = method.resolve(given)
    return {name: getattr(resolved, name) for name in space}


def space_text(space: SearchSpace) -> str:
    """Write a space so that :func:`parse_space` reads it."""
    return ";".join(f"{name}={','.join(map(str, values))}" for name, values in space.items())


def grid(space: SearchSpace) -> Iterator[Point]:
    """All combinations of values, the last hyperparameter changing fastest."""
    for values in itertools.product(*space.values()):
        yield dict(zip(space, values, strict=True))


def point_key(point: Mapping[str, Value]) -> str:
    """Text that is equal for equal points."""
    return json.dumps(dict(point), sort_keys=True)


def _ordered(values: Iterator[Value] | tuple[Value, ...]) -> tuple[Value, ...]:
    distinct = list(dict.fromkeys(values))
    if any(isinstance(value, str) for value in distinct):
        return tuple(distinct)
    return tuple(sorted(distinct, key=float))
