"""Hyperparameters: declaration, conversion and validation; and those shared by methods."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from enum import Flag, auto
from typing import Any

from mer_mlflow.errors import ParameterError

Value = float | int | str
SPACE, ROLE = "space", "role"


class Role(Flag):
    """Use of a hyperparameter; it may have several roles."""

    TRAINING = auto()
    """Argument of the training loop of a network."""
    ARCHITECTURE = auto()
    """Argument of the network's architecture."""
    ESTIMATOR = auto()
    """Argument of an estimator that is not trained by epochs."""
    SELECTION = auto()
    """Number of features that are selected."""
    SYNTHESIS = auto()
    """Synthesis of additional training examples."""
    INPUTS = auto()
    """Choice of the inputs. All settings of a search have the same inputs."""
    EPOCHS = auto()
    """Number of epochs, which ``max_epochs`` and the quick profile limit."""
    BATCH = auto()
    """Batch size, which the quick profile limits."""


@dataclass(frozen=True, kw_only=True)
class Space:
    """Values that a hyperparameter may take.

    Attributes
    ----------
    low, high : inclusive bounds of a number; ``exclusive_low`` excludes ``low`` itself
    choices : allowed texts; with ``prefix``, texts that begin with it are allowed too
    grid : values that a grid search tries
    """

    low: float = -math.inf
    high: float = math.inf
    exclusive_low: bool = False
    choices: tuple[str, ...] = ()
    prefix: str = ""
    grid: tuple[Value, ...] = ()

    def fault(self, value: Value) -> str | None:
        """Return why a value is not allowed, None if it is."""
        if self.choices:
            has_prefix = self.prefix and str(value).startswith(self.prefix)
            words = ", ".join((*self.choices, *([f"{self.prefix}…"] if self.prefix else [])))
            return None if value in self.choices or has_prefix else f"must be one of {words}"
        if isinstance(value, str):
            return None
        above = value > self.low if self.exclusive_low else value >= self.low
        if math.isfinite(value) and above and value <= self.high:
            return None
        low, high = (f"{bound:.12g}" for bound in (self.low, self.high))
        bounds = [f"{'>' if self.exclusive_low else '>='} {low}"] * math.isfinite(self.low)
        bounds += [f"<= {high}"] * math.isfinite(self.high)
        return f"must be {' and '.join(bounds) or 'a finite number'}"


def searchable(
    default: Any,
    role: Role,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    exclusive_low: bool = False,
    choices: tuple[str, ...] = (),
    grid: tuple[Value, ...] = (),
) -> Any:
    """Declare a hyperparameter: a dataclass field with its role and the values that it may take."""
    space = Space(
        low=low,
        high=high,
        exclusive_low=exclusive_low,
        choices=choices,
        grid=grid,
    )
    return field(default=default, metadata={SPACE: space, ROLE: role})


def converted(name: str, value: Value, kind: type[Any]) -> Any:
    """Convert a parameter to its type; an integer may be written ``16.0``.

    Parameters
    ----------
    name : name of the parameter, for the error message
    value : the given value
    kind : ``str``, ``int`` or ``float``

    Raises
    ------
    ParameterError
        If the value cannot be converted.
    """
    if kind is str:
        return str(value).strip()
    try:
        number = float(value)
    except ValueError:
        raise ParameterError(f"{name}={value}: not a number") from None
    except OverflowError:  # Python does not print integers of so many digits
        raise ParameterError(f"{name}: must be smaller") from None
    if kind is int:
        if not number.is_integer():
            raise ParameterError(f"{name}={value}: not a whole number")
        return int(number)
    return number


def values_of(hyperparameters: Any, role: Role) -> dict[str, Any]:
    """Return the values of the hyperparameters with a role, by name.

    Parameters
    ----------
    hyperparameters : dataclass instance
    role : the role
    """
    return {
        item.name: getattr(hyperparameters, item.name)
        for item in dataclasses.fields(hyperparameters)
        if role in item.metadata[ROLE]
    }


def part(hyperparameters: Any, declared: type[Any]) -> dict[str, Any]:
    """Return the values of the hyperparameters declared by a shared dataclass, by name.

    Parameters
    ----------
    hyperparameters : instance of a dataclass that extends ``declared``
    declared : one of the shared dataclasses of this module
    """
    return {item.name: getattr(hyperparameters, item.name) for item in dataclasses.fields(declared)}


@dataclass(frozen=True, kw_only=True)
class SGDTraining:
    """Training of a network, by default as in the study.

    Attributes
    ----------
    optimizer : ``sgd`` or ``adam``
    learning_rate : float > 0
    batch_size : int >= 1, clips (or chunks of clips) per step
    epochs : int >= 1, maximum number of epochs
    stop_accuracy : training accuracy at which the training ends, 0 to 1
    """

    optimizer: str = searchable("sgd", Role.TRAINING, choices=("sgd", "adam"))
    learning_rate: float = searchable(
        0.01, Role.TRAINING, low=0.0, exclusive_low=True, grid=(0.001, 0.005, 0.01, 0.05, 0.1)
    )
    batch_size: int = searchable(150, Role.TRAINING | Role.BATCH, low=1, grid=(50, 100, 150, 200))
    epochs: int = searchable(200, Role.TRAINING | Role.EPOCHS, low=1, grid=(100, 200, 300))
    stop_accuracy: float = searchable(0.9, Role.TRAINING, low=0.0, high=1.0)


@dataclass(frozen=True, kw_only=True)
class AdamTraining(SGDTraining):
    """Training of a network with Adam."""

    optimizer: str = searchable("adam", Role.TRAINING, choices=("sgd", "adam"))
    learning_rate: float = searchable(
        0.001, Role.TRAINING, low=0.0, exclusive_low=True, grid=(0.0001, 0.0005, 0.001, 0.005, 0.01)
    )


@dataclass(frozen=True, kw_only=True)
class CNNSizes:
    """Sizes of the study's baseline CNN.

    Attributes
    ----------
    filters : int >= 1, filters of each convolution
    dense_units : int >= 1, units of the layer before the output
    block_dropout, dropout : dropout rates in the front end and before the dense layer
    momentum : momentum of the running statistics of batch normalisation
    """

    filters: int = searchable(16, Role.ARCHITECTURE, low=1, grid=(8, 16, 32))
    dense_units: int = searchable(300, Role.ARCHITECTURE, low=1, grid=(150, 300, 600))
    block_dropout: float = searchable(0.1, Role.ARCHITECTURE, low=0.0, high=0.9)
    dropout: float = searchable(0.4, Role.ARCHITECTURE, low=0.0, high=0.9, grid=(0.3, 0.4, 0.5))
    momentum: float = searchable(0.9, Role.ARCHITECTURE, low=0.0, high=1.0)


@dataclass(frozen=True, kw_only=True)
class AutoencoderTraining:
    """Training, with Adam, of an additional autoencoder."""

    autoencoder_learning_rate: float = searchable(
        0.002, Role.SYNTHESIS, low=0.0, exclusive_low=True, grid=(0.001, 0.002, 0.004)
    )
    autoencoder_batch_size: int = searchable(16, Role.SYNTHESIS, low=1, grid=(8, 16, 32))
    autoencoder_epochs: int = searchable(
        50, Role.SYNTHESIS | Role.EPOCHS, low=1, grid=(25, 50, 100)
    )
