"""Parameters of the entry points, declared once for the command line and for MLproject."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import converted


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """A parameter of an entry point.

    Attributes
    ----------
    name : as users type it after ``-P``
    default : its default; None leaves the choice to the command
    kind : ``str``, ``int``, ``float`` or ``bool``
    help : one line
    """

    name: str
    default: str | int | float | None
    kind: type[Any]
    help: str


DATASET = (
    Parameter(
        name="dataset", default=None, kind=str, help="original-4qaed with a data root, else demo"
    ),
    Parameter(
        name="data_root", default=None, kind=str, help="folder of the dataset, or MER_DATA_ROOT"
    ),
)

CROSS_VALIDATION = (
    *DATASET,
    Parameter(name="profile", default=None, kind=str, help="paper, or quick (default for demo)"),
    Parameter(name="protocol", default="paper", kind=str, help="paper, grouped or fixed"),
    Parameter(name="folds", default=None, kind=int, help="folds of a repetition"),
    Parameter(name="repeats", default=None, kind=int, help="repetitions"),
    Parameter(name="seed", default=0, kind=int, help="seed of splits and training"),
    Parameter(name="max_epochs", default=None, kind=int, help="cap on epochs"),
    Parameter(
        name="features", default=None, kind=str, help="published or extracted handcrafted features"
    ),
    Parameter(name="augment", default=None, kind=str, help='"tfm,rg", none, or the method\'s own'),
    Parameter(name="noise_root", default=None, kind=str, help="folder of noises, such as ESC-50"),
    Parameter(
        name="weights", default=None, kind=str, help="pretrained weights, or MER_WEIGHTS_ROOT"
    ),
    Parameter(
        name="allow_unverified_weights", default=False, kind=bool, help="true for unknown digests"
    ),
    Parameter(name="duration", default=None, kind=float, help="excerpt of each clip, in seconds"),
    Parameter(name="workers", default=None, kind=int, help="processes, by default one a core"),
    Parameter(name="threads", default=1, kind=int, help="arithmetic threads of a process"),
)
"""What train and search share."""

SPACE = Parameter(
    name="space", default=None, kind=str, help='"learning_rate=0.001,0.01;batch_size=100,150"'
)

TRAIN = (
    *CROSS_VALIDATION,
    Parameter(name="test_curve", default=0, kind=int, help="1 to test after every epoch"),
    Parameter(
        name="probe", default=None, kind=str, help='"tfm,rg": how often copies change its mind'
    ),
    Parameter(
        name="nested", default=False, kind=bool, help="true to tune inside each training set"
    ),
    Parameter(name="strategy", default=None, kind=str, help="of nested: grid or neighbour"),
    SPACE,
)

SEARCH = (
    Parameter(name="strategy", default="neighbour", kind=str, help="grid, neighbour or tpe"),
    SPACE,
    Parameter(name="start", default=None, kind=str, help="values where neighbour begins"),
    Parameter(name="prune", default=None, kind=str, help="wilcoxon to stop settings that lose"),
    Parameter(name="trials", default=20, kind=int, help="trials of strategy tpe"),
    Parameter(name="storage", default=None, kind=str, help="database URL, or MER_OPTUNA_STORAGE"),
)

PREPARE = (
    *DATASET,
    Parameter(name="duration", default=30.0, kind=float, help="excerpt of each clip, in seconds"),
)

REPORT = (
    Parameter(name="experiment", default=None, kind=str, help="names, or all; default this run's"),
    Parameter(name="methods", default=None, kind=str, help='"svm,cnn"; by default all'),
    Parameter(name="datasets", default=None, kind=str, help='"original-4qaed"; by default all'),
    Parameter(name="protocol", default=None, kind=str, help="by default all"),
    Parameter(name="output", default="reports", kind=str, help="folder for the files"),
    Parameter(name="pages", default=None, kind=str, help="address of MLflow's pages, for links"),
)

EXPORT = (
    Parameter(name="experiment", default=None, kind=str, help="its name; default this run's"),
    Parameter(name="archive", default=None, kind=str, help="file to write; default EXPERIMENT.zip"),
)

IMPORT = (
    Parameter(name="archive", default=None, kind=str, help="file that export wrote"),
    Parameter(name="experiment", default=None, kind=str, help="where to; default as it was"),
)

STUDY = (
    Parameter(name="plan", default="quick", kind=str, help="quick, paper, or a YAML file of yours"),
    Parameter(
        name="data_root",
        default=None,
        kind=str,
        help='a folder of datasets, or "original-4qaed=/a;new-4qaed-c=/b"',
    ),
    Parameter(name="dry_run", default=False, kind=bool, help="true to print the plan only"),
    Parameter(name="workers", default=None, kind=int, help="processes, by default one a core"),
    Parameter(name="threads", default=1, kind=int, help="arithmetic threads of a process"),
    Parameter(name="storage", default=None, kind=str, help="database URL, or MER_OPTUNA_STORAGE"),
)

AUGMENT = (
    Parameter(name="transform", default=None, kind=str, help="name of a transform, such as sb"),
    Parameter(name="clip", default=None, kind=str, help="audio file"),
    Parameter(name="seed", default=0, kind=int, help="seed of the size that is drawn"),
    Parameter(name="noise_root", default=None, kind=str, help="folder of noises, such as ESC-50"),
    Parameter(name="output", default="augmented", kind=str, help="folder for the files"),
)

WEIGHTS = (
    Parameter(
        name="weights", default=None, kind=str, help="pretrained weights, or MER_WEIGHTS_ROOT"
    ),
)

SYNC = (Parameter(name="journal", default=None, kind=str, help="file; by default all that wait"),)

METHOD = (
    Parameter(name="method", default="svm", kind=str, help="methodology"),
    Parameter(
        name="hyperparameters", default=None, kind=str, help='"learning_rate=0.005;batch_size=50"'
    ),
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ParameterError(f"{message}; {self.usage_hint}")

    usage_hint = "see the README for the parameters"


def parse(parameters: Sequence[Parameter], arguments: Sequence[str] | None) -> dict[str, Any]:
    """Parse the command line of an entry point; an empty value counts as not given.

    Parameters
    ----------
    parameters : what the entry point takes
    arguments : command line, by default the process's

    Returns
    -------
    value of each parameter, None where neither given nor with a default

    Raises
    ------
    ParameterError
        If a parameter is unknown or its value is of the wrong type.
    """
    parser = _Parser(allow_abbrev=False)
    for parameter in parameters:
        parser.add_argument(f"--{parameter.name}", default="", help=parameter.help)
    given = {  # argparse of Python 3.11 takes "--" for a separator even as a value
        name: "--" if text == [] else text
        for name, text in vars(parser.parse_args(arguments)).items()
    }
    return {parameter.name: _value(parameter, given[parameter.name]) for parameter in parameters}


def parse_hyperparameters(text: str | None, *, name: str = "hyperparameters") -> dict[str, str]:
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
    values = {}
    for part in filter(None, (part.strip() for part in (text or "").split(";"))):
        key, separator, value = part.partition("=")
        if not separator or not key.strip() or not value.strip():
            raise ParameterError(
                f"{name}={text}: '{part}' is not name=value; write name=value;name=value"
            )
        values[key.strip()] = value.strip()
    return values


def listed(names: str | None) -> list[str]:
    """Split names with commas between them."""
    return [name.strip() for name in (names or "").split(",") if name.strip()]


def _value(parameter: Parameter, given: str) -> str | int | float | None:
    text = given.strip()
    if not text:
        return parameter.default
    if parameter.kind is bool:
        return _truth(parameter.name, text)
    return converted(parameter.name, text, parameter.kind)  # type: ignore[no-any-return]


def _truth(name: str, text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.lower() not in known:
        raise ParameterError(f"{name}={text}: must be true or false")
    return known[text.lower()]
