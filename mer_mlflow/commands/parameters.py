"""Parameters of the commands, declared once for the command line and for MLproject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments import TRAIN_ONLY, Experiment, Parameter, Role, Search, parameters
from mer_mlflow.experiments.text import pairs, parse
from mer_mlflow.methods import get_method
from mer_mlflow.training.hyperparameters import Space

_EXPERIMENT = parameters(Experiment)
METHOD = tuple(item for item in _EXPERIMENT if item.name in ("method", "hyperparameters"))
TRAIN = tuple(item for item in _EXPERIMENT if item not in METHOD)
SEARCH = parameters(Search)
SEARCHED = tuple(item for item in TRAIN if item.name not in TRAIN_ONLY)
"""Parameters of the search's experiment."""
ALLOW_COLUMNS = next(item for item in TRAIN if item.name == "allow_columns")
ARITHMETIC = next(item for item in TRAIN if item.name == "arithmetic")
DATASET = tuple(item for item in TRAIN if item.name in ("dataset", "data_root", "av_scale"))
EXECUTION = tuple(item for item in TRAIN if item.role == Role.EXECUTION and item not in DATASET)
"""Parameters that control the execution of a study's experiments."""

PREPARE = (
    Parameter(
        name="method",
        default=None,
        kind=str,
        help="methodology whose representations are computed; default all",
    ),
    *DATASET,
    Parameter(name="duration", default=30.0, kind=float, help="excerpt of each clip, in seconds"),
    ALLOW_COLUMNS,
    ARITHMETIC,
    Parameter(
        name="executor",
        default=None,
        kind=str,
        help="scheduler of a Dask cluster that computes: dask://host:8786; or MER_EXECUTOR",
    ),
)

SELECTED = (
    Parameter(name="experiment", default=None, kind=str, help="names, or all; default this run's"),
    Parameter(name="methods", default=None, kind=str, help='"svm,cnn"; by default all'),
    Parameter(name="datasets", default=None, kind=str, help='"original-4qaed"; by default all'),
    Parameter(name="protocol", default=None, kind=str, help="by default all"),
)
"""Parameters that select the cross-validations of a ranking."""

REPORT = (
    *SELECTED,
    Parameter(
        name="data_root",
        default=None,
        kind=str,
        help="folder of datasets, to name and play clips; or MER_DATA_ROOT",
    ),
    Parameter(
        name="format",
        default=None,
        kind=str,
        help="markdown, csv, latex or json: print one table and write nothing",
        limits=Space(choices=("markdown", "csv", "latex", "json")),
    ),
    Parameter(name="table", default=None, kind=str, help="name of that table; default ranking"),
    Parameter(name="output", default="reports", kind=str, help="folder for the files"),
    Parameter(name="pages", default=None, kind=str, help="address of MLflow's pages, for links"),
)

LEADERBOARD = (
    *SELECTED,
    Parameter(
        name="interval",
        default=5.0,
        kind=float,
        help="seconds between updates in a terminal; 0 prints it once",
        limits=Space(low=0.0),
    ),
)

FIT = (
    Parameter(name="register", default=False, kind=bool, help="true to register it as mer-METHOD"),
    Parameter(name="validate", default=False, kind=bool, help="true to cross-validate it first"),
)

PREDICT = (
    Parameter(
        name="clip",
        default=None,
        kind=str,
        help='audio file, folder of them, or "demo" for songs that are not in the demo',
    ),
    Parameter(
        name="model",
        default=None,
        kind=str,
        help="address of a model, printed by fit; several with commas; default the demo's",
    ),
    Parameter(
        name="hop",
        default=None,
        kind=float,
        help="seconds between windows of a song; default half a window",
        limits=Space(low=0.0, exclusive_low=True),
    ),
    Parameter(name="timeline", default=False, kind=bool, help="true for one row per window"),
    Parameter(
        name="calibrated",
        default=True,
        kind=bool,
        help="false for probabilities as the model gives them",
    ),
    Parameter(
        name="format",
        default="table",
        kind=str,
        help="table, csv, json, or jams for a file per song",
        limits=Space(choices=("table", "csv", "json", "jams")),
    ),
    Parameter(
        name="explain",
        default=False,
        kind=bool,
        help="true for a figure of the seconds, bands and features that carry each prediction",
    ),
    Parameter(name="output", default="predictions", kind=str, help="folder for files and figures"),
)

PAGE = (
    Parameter(
        name="models",
        default=None,
        kind=str,
        help="addresses of models, with commas; default a registered candidate, or demo",
    ),
    Parameter(
        name="dataset", default=None, kind=str, help="clips to play; default those of the model"
    ),
    Parameter(name="data_root", default=None, kind=str, help="its folder, or MER_DATA_ROOT"),
    Parameter(name="experiment", default=None, kind=str, help="its name; by default Default"),
    Parameter(name="host", default="127.0.0.1", kind=str, help="address to listen at"),
    Parameter(
        name="port",
        default=7860,
        kind=int,
        help="port to listen at; 0 for a free one",
        limits=Space(low=0, high=65535),
    ),
    Parameter(name="heard", default="heard.csv", kind=str, help="CSV of what listeners heard"),
)

EXPORT = (
    Parameter(name="experiment", default=None, kind=str, help="its name; default this run's"),
    Parameter(name="archive", default=None, kind=str, help="file to write; default EXPERIMENT.zip"),
)

IMPORT = (
    Parameter(name="archive", default=None, kind=str, help="file written by export"),
    Parameter(name="experiment", default=None, kind=str, help="target; default as exported"),
)

STUDY = (
    Parameter(name="plan", default="quick", kind=str, help="quick, paper, or your YAML file"),
    Parameter(
        name="data_root",
        default=None,
        kind=str,
        help='a folder of datasets, or "original-4qaed=/a;new-4qaed-c=/b"',
    ),
    Parameter(name="dry_run", default=False, kind=bool, help="true to print the plan only"),
    ALLOW_COLUMNS,
    *EXECUTION,
    Parameter(
        name="parallel",
        default=None,
        kind=int,
        help="items at once on a cluster, by default 4",
        limits=Space(low=1),
    ),
    *(parameter for parameter in SEARCH if parameter.role == Role.EXECUTION),
)

AUGMENT = (
    Parameter(name="transform", default=None, kind=str, help="name of a transform, such as sb"),
    Parameter(name="clip", default=None, kind=str, help="audio file"),
    Parameter(name="seed", default=0, kind=int, help="seed of the random factor"),
    Parameter(name="noise_root", default=None, kind=str, help="folder of noise, such as ESC-50"),
    Parameter(name="output", default="augmented", kind=str, help="folder for the files"),
)

WEIGHTS = (
    Parameter(
        name="weights", default=None, kind=str, help="pretrained weights, or MER_WEIGHTS_ROOT"
    ),
)

CLUSTER = (
    Parameter(
        name="system",
        default=None,
        kind=str,
        help="queueing system of the jobs",
        limits=Space(choices=("slurm", "pbs", "lsf", "sge")),
    ),
    Parameter(name="jobs", default=1, kind=int, help="number of jobs", limits=Space(low=1)),
    Parameter(name="cores", default=None, kind=int, help="cores of each job", limits=Space(low=1)),
    Parameter(name="memory", default=None, kind=str, help="memory of each job, such as 16GB"),
    Parameter(name="time", default=None, kind=str, help="time of each job, such as 4:00:00"),
    Parameter(name="partition", default=None, kind=str, help="partition or queue"),
    Parameter(name="account", default=None, kind=str, help="account that pays for the jobs"),
    Parameter(
        name="port",
        default=0,
        kind=int,
        help="port of the scheduler; 0 for a free one",
        limits=Space(low=0, high=65535),
    ),
    Parameter(name="config", default=None, kind=str, help="YAML file of dask-jobqueue"),
    Parameter(name="dry_run", default=False, kind=bool, help="true to print a job's script only"),
)

SYNC = (Parameter(name="journal", default=None, kind=str, help="file; by default all"),)


SHARED = (
    "profile",
    "protocol",
    "folds",
    "repeats",
    "seed",
    "max_epochs",
    "augment",
    "noise_root",
    "weights",
    "allow_unverified_weights",
    "duration",
)
TRANSFER = (
    Parameter(name="methods", default="svm", kind=str, help='methodologies, "svm,cnn"'),
    Parameter(name="train", default=None, kind=str, help='datasets to train on, "demo,deam"'),
    Parameter(name="test", default=None, kind=str, help="datasets to predict; default as train"),
    Parameter(
        name="data_root",
        default=None,
        kind=str,
        help='a folder of datasets, or "deam=/a;pmemo=/b"',
    ),
    Parameter(
        name="landmarks",
        default=True,
        kind=bool,
        help="false to find duplicates without comparing audio",
    ),
    *(item for item in TRAIN if item.name in SHARED),
    *EXECUTION,
)


def hyperparameter_options(method: str) -> tuple[Parameter, ...]:
    """Return a methodology's hyperparameters as parameters; None stands for the default.

    Raises
    ------
    ParameterError
        If there is no such methodology.
    """
    declared = get_method(method)
    return tuple(
        Parameter(
            name=name,
            default=None,
            kind=type(default),
            help=f"hyperparameter of {method}, default {default}",
            limits=declared.spaces[name],
        )
        for name, default in declared.defaults.items()
    )


def requested_method(declared: Sequence[Parameter], arguments: Sequence[str]) -> str:
    """Return the methodology of a command line, or the default.

    Parameters
    ----------
    declared : parameters of the command
    arguments : command line

    Raises
    ------
    ParameterError
        If there are two: the entry of one methodology was run with another one.
    """
    values = (text.strip() for name, text in pairs(declared, arguments) if name == "method")
    given = list(dict.fromkeys(filter(None, values)))
    if len(given) > 1:
        raise ParameterError(f"method is given twice: {given[0]} and {given[1]}")
    return given[0] if given else str(METHOD[0].default)


def experiment_values(declared: Sequence[Parameter], arguments: Sequence[str]) -> dict[str, Any]:
    """Parse a command line, in which hyperparameters may be separate parameters.

    Parameters
    ----------
    declared : parameters of the command, including ``method`` and ``hyperparameters``
    arguments : command line

    Raises
    ------
    ParameterError
        If a parameter is unknown, given twice, or its value is of the wrong type or not allowed.
    """
    own = hyperparameter_options(requested_method(declared, arguments))
    given = parse((*declared, *own), arguments)
    values = {item.name: given.pop(item.name) for item in own}
    return given | {"hyperparameters": _joined(given["hyperparameters"], values)}


def _joined(
    hyperparameters: Mapping[str, Any] | str | None, values: Mapping[str, Any]
) -> Mapping[str, Any] | str | None:
    own = {name: value for name, value in values.items() if value is not None}
    if not own:
        return hyperparameters
    if isinstance(hyperparameters, str):
        name = next(iter(own))
        raise ParameterError(
            f"hyperparameters={hyperparameters} and {name}={own[name]}: give one of them"
        )
    twice = next((name for name in own if name in (hyperparameters or {})), None)
    if twice is not None:
        raise ParameterError(f"{twice} is given twice: as a parameter and in hyperparameters")
    return {**(hyperparameters or {}), **own}
