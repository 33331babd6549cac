"""Experiment and Search: requests of users, independent of their syntax.

Each field is declared once, with type, default, limits and one line of help. The command line,
``MLproject``, the keys of a study's plan and the commands of its items are derived from this.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

from mer_mlflow.arithmetic import ARITHMETICS, NATIVE
from mer_mlflow.crossval.executors import MOST_THREADS
from mer_mlflow.crossval.splits import LARGEST_SEED, MOST_REPEATS, PARTITION, PROTOCOLS
from mer_mlflow.experiments.parameter import Role, declared, given_values, parameters
from mer_mlflow.experiments.profiles import PROFILES
from mer_mlflow.experiments.text import assignments_text, read_yaml
from mer_mlflow.representations.audio import LONGEST
from mer_mlflow.representations.examples import FEATURE_SOURCES, SHORTEST
from mer_mlflow.training import Space, Value
from mer_mlflow.tuning.pruning import PRUNERS
from mer_mlflow.tuning.strategies import STRATEGIES, STRATEGY_NAMES

BEST = "best"
BEST_OF = "best of "


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A requested cross-validation; values that are None are chosen by ``resolve``.

    Attributes
    ----------
    method : name of the methodology
    hyperparameters : values that differ from its defaults; ``"best"`` for the best setting of its
        latest search on Original-4QAED; ``"best of STUDY"`` for that of the search with this name
    dataset : name; by default original-4qaed if a data root is given, else demo
    data_root : folder of the dataset, by default ``MER_DATA_ROOT``
    av_scale : scale of arousal and valence in the dataset's table, by default guessed
    profile : ``paper`` or ``quick``; by default quick for the demo, else paper
    protocol : ``paper``, ``grouped``, ``fixed`` or ``fixed-NAME``
    folds, repeats, max_epochs, duration : override the profile
    seed : seed of splits, synthesised clips and training
    features : ``published`` or ``extracted``; by default published if the dataset has them
    allow_columns : comma-separated columns of feature tables that are read in spite of a check
    augment : comma-separated transforms, each of which adds a copy of every training clip, or
        ``none``; by default those of the methodology
    noise_root : folder of recordings for background noise, by default noise is synthesised
    weights : file of pretrained weights, or folder that contains them, by default
        ``MER_WEIGHTS_ROOT``
    allow_unverified_weights : whether files with unknown digests are accepted
    probe : comma-separated transforms: the run counts how often a trained model predicts another
        quadrant for a test clip's copy than for the clip
    nested : whether hyperparameters are chosen within each training set, by a search with inner
        folds; ``hyperparameters`` are the start of a neighbour search then
    strategy, space : of that inner search; by default those of the search named by ``best``, else
        ``neighbour`` and the values that the methodology declares
    test_curve : 1 to predict the test clips after every epoch
    executor : ``processes``; ``inline`` for folds in the command's own process, if no network is
        trained; or the scheduler of a Dask cluster, ``dask://host:port`` or, encrypted,
        ``dask+tls://host:port``. By default ``MER_EXECUTOR``, else ``processes``
    workers : worker processes, by default one per core; 0 is the same as ``executor=inline``. A
        cluster has its own
    threads : arithmetic threads of a worker
    arithmetic : ``native``, or ``portable`` for kernels that every x86-64 processor with AVX2 has
    fold_timeout : maximum time of a fold [s], by default unlimited; a fold that exceeds it fails

    Examples
    --------
    >>> experiment = Experiment(method="cnn", dataset="demo", max_epochs=3)
    >>> print(experiment.to_yaml(), end="")
    method: cnn
    dataset: demo
    max_epochs: 3
    """

    method: str = declared("svm", kind=str, help="methodology")
    hyperparameters: Mapping[str, Value] | str | None = declared(
        None, kind=dict, help='"learning_rate=0.005;batch_size=50", or best', keywords=(BEST,)
    )
    dataset: str | None = declared(
        None, kind=str, help="original-4qaed with a data root, else demo"
    )
    data_root: str | None = declared(
        None, kind=str, help="folder of the dataset, or MER_DATA_ROOT", role=Role.EXECUTION
    )
    av_scale: str | None = declared(
        None,
        kind=str,
        help="scale of arousal and valence: 1-9, 0-1 or -1-1; by default guessed",
        role=Role.EXECUTION,
    )
    profile: str | None = declared(
        None,
        kind=str,
        help="paper, or quick (default for demo)",
        limits=Space(choices=tuple(PROFILES)),
    )
    protocol: str = declared(
        "paper",
        kind=str,
        help="paper, grouped, fixed or fixed-NAME",
        limits=Space(choices=PROTOCOLS, prefix=PARTITION),
    )
    folds: int | None = declared(None, kind=int, help="folds of a repetition", limits=Space(low=2))
    repeats: int | None = declared(
        None, kind=int, help="repetitions", limits=Space(low=1, high=MOST_REPEATS)
    )
    seed: int = declared(
        0, kind=int, help="seed of splits and training", limits=Space(low=0, high=LARGEST_SEED)
    )
    max_epochs: int | None = declared(None, kind=int, help="cap on epochs", limits=Space(low=1))
    features: str | None = declared(
        None,
        kind=str,
        help="published or extracted handcrafted features",
        limits=Space(choices=FEATURE_SOURCES),
    )
    allow_columns: str | None = declared(
        None, kind=str, help='"NAME,NAME": columns allowed in spite of checks'
    )
    augment: str | None = declared(None, kind=str, help='"tfm,rg", none, or the method\'s own')
    noise_root: str | None = declared(None, kind=str, help="folder of noise, such as ESC-50")
    weights: str | None = declared(None, kind=str, help="pretrained weights, or MER_WEIGHTS_ROOT")
    allow_unverified_weights: bool = declared(
        False, kind=bool, help="true to use weights of unknown digests"
    )
    duration: float | None = declared(
        None,
        kind=float,
        help="excerpt of each clip, in seconds",
        limits=Space(low=SHORTEST, high=LONGEST),
    )
    executor: str | None = declared(
        None,
        kind=str,
        help="processes, inline, dask://host:port, or MER_EXECUTOR",
        role=Role.EXECUTION,
    )
    workers: int | None = declared(
        None,
        kind=int,
        help="processes, by default one per core",
        role=Role.EXECUTION,
        limits=Space(low=0),
    )
    threads: int = declared(
        1,
        kind=int,
        help="arithmetic threads of a process",
        role=Role.EXECUTION,
        limits=Space(low=1, high=MOST_THREADS),
    )
    arithmetic: str = declared(
        NATIVE,
        kind=str,
        help="native, or portable between processors",
        role=Role.EXECUTION,
        limits=Space(choices=ARITHMETICS),
    )
    fold_timeout: float | None = declared(
        None,
        kind=float,
        help="timeout of a fold in seconds, by default none",
        role=Role.EXECUTION,
        limits=Space(low=0.0, exclusive_low=True),
    )
    test_curve: bool = declared(False, kind=bool, help="true to test after every epoch")
    probe: str | None = declared(
        None, kind=str, help='"tfm,rg": count changed predictions of copies'
    )
    nested: bool = declared(False, kind=bool, help="true to tune within each training set")
    strategy: str | None = declared(
        None,
        kind=str,
        help="of nested: grid or neighbour",
        limits=Space(choices=tuple(STRATEGIES)),
    )
    space: str | None = declared(
        None, kind=str, help='of nested: "learning_rate=0.001,0.01;batch_size=100,150"'
    )

    def arguments(self) -> dict[str, str]:
        """Return the parameters of its command as text, without defaults."""
        return _as_text(given_values(self))

    def to_yaml(self) -> str:
        """Return the parameters that differ from their defaults as YAML."""
        return yaml.safe_dump(given_values(self), sort_keys=False, allow_unicode=True)

    @classmethod
    def from_yaml(cls, text: str) -> Self:
        """Read YAML written by :meth:`to_yaml` or by a user.

        Raises
        ------
        ParameterError
            If a parameter is unknown, or its value is of the wrong type or not allowed.

        Examples
        --------
        >>> Experiment.from_yaml("method: cnn\\nhyperparameters: {batch_size: 16}").method
        'cnn'
        """
        return cls(**read_yaml(parameters(cls), text))


@dataclass(frozen=True, kw_only=True)
class Search:
    """A requested search: an experiment, and the values of its hyperparameters to try.

    Attributes
    ----------
    experiment : experiment whose hyperparameters are searched; those that it sets are fixed
    strategy : ``grid``, ``neighbour`` or ``tpe``
    space : values to search, by default those that the methodology declares
    start : start of a neighbour search, by default the methodology's defaults
    prune : ``wilcoxon`` to stop settings that are significantly worse than the best one,
        ``forgiving`` to stop those whose mean is worse than the worst fold of the best one
    trials : number of trials of ``tpe``
    storage : database URL of the Optuna study, by default ``MER_OPTUNA_STORAGE``
    """

    experiment: Experiment
    strategy: str = declared(
        "neighbour",
        kind=str,
        help="grid, neighbour or tpe",
        limits=Space(choices=tuple(STRATEGY_NAMES)),
    )
    space: str | None = declared(
        None, kind=str, help='"learning_rate=0.001,0.01;batch_size=100,150"'
    )
    start: Mapping[str, Value] | None = declared(
        None, kind=dict, help="start of strategy neighbour"
    )
    prune: str | None = declared(
        None,
        kind=str,
        help="wilcoxon or forgiving to stop worse settings",
        limits=Space(choices=tuple(PRUNERS)),
    )
    trials: int = declared(20, kind=int, help="trials of strategy tpe", limits=Space(low=1))
    storage: str | None = declared(
        None, kind=str, help="database URL, or MER_OPTUNA_STORAGE", role=Role.EXECUTION
    )

    def arguments(self) -> dict[str, str]:
        """Return the parameters of its command as text, without defaults."""
        return self.experiment.arguments() | _as_text(given_values(self))


TRAIN_ONLY = {
    item.name: item.default
    for item in parameters(Experiment)
    if item.name in ("test_curve", "probe", "nested", "strategy", "space")
}
"""Parameters of an experiment that a search does not use or replaces, with defaults."""


def _as_text(values: Mapping[str, Any]) -> dict[str, str]:
    return {
        name: assignments_text(value)
        if isinstance(value, Mapping)
        else str(value).lower()
        if isinstance(value, bool)
        else str(value)
        for name, value in values.items()
    }
