"""Parameters: each is one field of a dataclass, from which all that reads or shows it follows."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

from mer_mlflow.errors import ParameterError
from mer_mlflow.training import Space, Value, converted

PARAMETER = "parameter"
NO_LIMITS = Space()


class Role(StrEnum):
    """What a parameter is about.

    ``REQUEST``: what is requested; a plan of a study may set it. ``EXECUTION``: how and where it is
    run.
    """

    REQUEST = "request"
    EXECUTION = "execution"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter as it is declared.

    Attributes
    ----------
    name : as users type it after ``-P``
    default : its default; None leaves the choice to the command
    kind : ``str``, ``int``, ``float``, ``bool``, or ``dict`` for ``"name=value;name=value"``
    help : one line
    role : what it is about
    limits : values that it may take
    words : texts that a ``dict`` may be beside pairs; each may be the beginning of a longer one
    """

    name: str
    default: str | int | float | None
    kind: type[Any]
    help: str
    role: Role = Role.EXECUTION
    limits: Space = NO_LIMITS
    words: tuple[str, ...] = ()

    def check(self, value: Value) -> None:
        """Make sure that a value is allowed.

        Raises
        ------
        ParameterError
            If it is not.
        """
        complaint = self.limits.complaint(value)
        if complaint is not None:
            shown = f"{value:g}" if isinstance(value, float) else value
            raise ParameterError(f"{self.name}={shown}: {complaint}")

    def converted(self, value: Value) -> Any:
        """A value of the parameter's type, from a number or text.

        Raises
        ------
        ParameterError
            If the value is of another type, or not allowed.
        """
        if self.kind is bool:
            return _truth(self.name, value)
        result = converted(self.name, value, self.kind)
        self.check(result)
        return result


def declared(
    default: Any,
    *,
    kind: type[Any],
    help: str,
    role: Role = Role.REQUEST,
    limits: Space = NO_LIMITS,
    words: tuple[str, ...] = (),
) -> Any:
    """Declare a parameter: a dataclass field.

    Parameters
    ----------
    default : its default
    kind, help, role, limits, words : see :class:`Parameter`
    """
    metadata = {"kind": kind, "help": help, "role": role, "limits": limits, "words": words}
    return field(default=default, metadata={PARAMETER: metadata})


def parameters(declaration: type[Any]) -> tuple[Parameter, ...]:
    """Parameters that a dataclass declares, in its order."""
    return tuple(
        Parameter(name=item.name, default=cast(Any, item.default), **item.metadata[PARAMETER])
        for item in dataclasses.fields(declaration)
        if PARAMETER in item.metadata
    )


def given_values(declaration: Any) -> dict[str, Any]:
    """Values of an instance that differ from the defaults, by parameter."""
    values = {item.name: getattr(declaration, item.name) for item in parameters(type(declaration))}
    defaults = {item.name: item.default for item in parameters(type(declaration))}
    return {
        name: value
        for name, value in values.items()
        if value != defaults[name] and not (isinstance(value, Mapping) and not value)
    }


def _truth(name: str, value: Value) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    text = str(value).strip().lower()
    if text not in known:
        raise ParameterError(f"{name}={value}: must be true or false")
    return known[text]
