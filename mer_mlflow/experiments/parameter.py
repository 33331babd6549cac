"""Parameters, declared as fields of dataclasses."""

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
    """Role of a parameter.

    ``REQUEST``: what is computed; the plan of a study may set it. ``EXECUTION``: how and where it
    is computed.
    """

    REQUEST = "request"
    EXECUTION = "execution"


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """Declaration of a parameter.

    Attributes
    ----------
    name : name after ``-P``
    default : default value; None if the command chooses it
    kind : ``str``, ``int``, ``float``, ``bool``, or ``dict`` for ``"name=value;name=value"``
    help : one line of help
    role : role of the parameter
    limits : allowed values
    keywords : texts that are allowed instead of a ``dict``, also followed by `` of NAME``
    """

    name: str
    default: str | int | float | None
    kind: type[Any]
    help: str
    role: Role = Role.EXECUTION
    limits: Space = NO_LIMITS
    keywords: tuple[str, ...] = ()

    def check(self, value: Value) -> None:
        """Check that a value is allowed.

        Raises
        ------
        ParameterError
            If it is not allowed.
        """
        fault = self.limits.fault(value)
        if fault is not None:
            shown = f"{value:g}" if isinstance(value, float) else value
            raise ParameterError(f"{self.name}={shown}: {fault}")

    def converted(self, value: Value) -> Any:
        """Convert a number or text to the parameter's type.

        Raises
        ------
        ParameterError
            If the value cannot be converted, or is not allowed.
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
    keywords: tuple[str, ...] = (),
) -> Any:
    """Declare a parameter as a dataclass field.

    Parameters
    ----------
    default : default value
    kind, help, role, limits, keywords : see :class:`Parameter`
    """
    metadata = {"kind": kind, "help": help, "role": role, "limits": limits, "keywords": keywords}
    return field(default=default, metadata={PARAMETER: metadata})


def parameters(declaration: type[Any]) -> tuple[Parameter, ...]:
    """Return the parameters that a dataclass declares, in order."""
    return tuple(
        Parameter(name=item.name, default=cast(Any, item.default), **item.metadata[PARAMETER])
        for item in dataclasses.fields(declaration)
        if PARAMETER in item.metadata
    )


def given_values(declaration: Any) -> dict[str, Any]:
    """Return the values of an instance that differ from the defaults, by parameter."""
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
