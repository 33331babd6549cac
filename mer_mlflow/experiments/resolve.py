"""Resolution of requests: all defaults are chosen here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from mer_mlflow.augmentation import Transform, draw_noise_from, get_transforms
from mer_mlflow.crossval.executors import (
    INLINE,
    PROCESSES,
    Executor,
    check_workers,
    make_executor,
    resolve_executor,
    resolve_workers,
)
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.crossval.splits import SplitPlan
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import ParameterError
from mer_mlflow.experiments.experiment import BEST_OF, TRAIN_ONLY, Experiment, Search
from mer_mlflow.experiments.parameter import given_values, parameters
from mer_mlflow.experiments.profiles import (
    Profile,
    default_profile,
    get_profile,
    limited,
    sized_plan,
)
from mer_mlflow.experiments.text import split_columns, split_names
from mer_mlflow.methods import get_method
from mer_mlflow.training import Method, Value
from mer_mlflow.tuning.nested import InnerSearch
from mer_mlflow.tuning.space import resolve_space, start_point
from mer_mlflow.tuning.strategies import STRATEGIES

if TYPE_CHECKING:
    from mer_mlflow.tuning.study import SearchSetting

NO_TRANSFORMS = "none"


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A cross-validation with all defaults resolved.

    Attributes
    ----------
    setting : setting of the cross-validation
    profile : name of the profile
    probes : transforms by name; trained models also predict transformed test clips
    executor : executor of its folds
    """

    setting: Setting
    profile: str
    probes: Mapping[str, Transform]
    executor: Executor


@dataclass(frozen=True, kw_only=True)
class ResolvedSearch:
    """A search with all defaults resolved.

    Attributes
    ----------
    search : space and strategy of the search
    setting : setting of the point where it begins
    profile : name of the profile
    executor : executor of its folds
    """

    search: SearchSetting
    setting: Setting
    profile: str
    executor: Executor


def winner_study(experiment: Experiment) -> str | None:
    """Return the name of the search whose best setting is requested: empty for the latest, None if
    none is requested."""
    text = experiment.hyperparameters
    return text.partition(BEST_OF)[2].strip() if isinstance(text, str) else None


def resolve(
    experiment: Experiment, clips: Clips, *, winner: Mapping[str, Any] | None = None
) -> Resolved:
    """Resolve the defaults of an experiment, and validate it.

    Parameters
    ----------
    experiment : the requested experiment
    clips : clips of its dataset
    winner : ``best.json`` of the search whose best setting is requested, None for none

    Raises
    ------
    MerError
        If a value is not allowed, or the dataset is unsuitable.
    """
    _check(experiment)
    method = get_method(experiment.method)
    executor = _executor(experiment, method)
    profile = experiment.profile or default_profile(clips.name)
    size = get_profile(profile)
    chosen = experiment.hyperparameters if winner is None else winner["hyperparameters"]
    if isinstance(chosen, str):
        raise ValueError(f"hyperparameters={chosen}: the winner of that search is missing")
    if not experiment.nested and (experiment.strategy or experiment.space):
        raise ParameterError("strategy and space belong to nested=true, or to the command search")
    values = limited(method, chosen or {}, profile=size, max_epochs=experiment.max_epochs)
    training, probes = resolve_transforms(
        method,
        augment=experiment.augment,
        noise_root=experiment.noise_root,
        probe=experiment.probe,
    )
    setting = _setting(
        experiment,
        clips,
        _splits(experiment, clips, size),
        size=size,
        hyperparameters=values,
        augmentations=training,
        choice=_inner_search(experiment, method, values, winner or {}),
    )
    return Resolved(setting=setting, profile=profile, probes=probes, executor=executor)


def resolve_search(search: Search, clips: Clips) -> ResolvedSearch:
    """Resolve the defaults of a search, and validate it.

    Parameters
    ----------
    search : the requested search
    clips : clips of its dataset

    Raises
    ------
    MerError
        If a value is not allowed, or the dataset is unsuitable.
    """
    _check(search)
    experiment = search.experiment
    _check(experiment)
    method = get_method(experiment.method)
    given = experiment.hyperparameters or {}
    if isinstance(given, str):
        raise ParameterError(f"hyperparameters={given}: a search needs values; give start instead")
    space = resolve_space(search.space, method)
    both = sorted(set(given) & set(space))
    if both:
        raise ParameterError(f"{both[0]} is both fixed by hyperparameters and searched")
    start = start_point(method, space, search.start)
    executor = _executor(experiment, method)
    profile = experiment.profile or default_profile(clips.name)
    size = get_profile(profile)
    fixed = limited(method, given, profile=size, max_epochs=experiment.max_epochs)
    training, _ = resolve_transforms(
        method, augment=experiment.augment, noise_root=experiment.noise_root, probe=None
    )
    setting = _setting(
        experiment,
        clips,
        _splits(experiment, clips, size),
        size=size,
        hyperparameters=fixed | start,
        augmentations=training,
    )
    from mer_mlflow.tuning.declare import declare_search

    searched = declare_search(
        setting,
        strategy=search.strategy,
        space=space,
        trials=search.trials,
        prune=search.prune,
    )
    return ResolvedSearch(search=searched, setting=setting, profile=profile, executor=executor)


def resolve_transforms(
    method: Method, *, augment: str | None, noise_root: str | None, probe: str | None
) -> tuple[tuple[Transform, ...], dict[str, Transform]]:
    """Return the transforms for training clips, and those for probes of test clips.

    Parameters
    ----------
    method : the methodology, whose augmentations are the default
    augment : comma-separated names, or ``none``
    noise_root : folder of recordings for background noise
    probe : comma-separated names

    Returns
    -------
    transforms for training clips; transforms for probes by name

    Raises
    ------
    MerError
        If a transform is unknown or the folder cannot be used.
    """
    training = method.augmentations
    if augment is not None:
        training = get_transforms(split_names(augment) if augment != NO_TRANSFORMS else [])
    names = split_names(probe)
    probes = get_transforms(names)
    if noise_root:
        both = draw_noise_from((*training, *probes), noise_root)
        training, probes = both[: len(training)], both[len(training) :]
    return training, dict(zip(names, probes, strict=True))


def _check(requested: Experiment | Search) -> None:
    given = given_values(requested)
    for parameter in parameters(type(requested)):
        if parameter.name in given and parameter.kind is not dict:
            parameter.converted(given[parameter.name])
    if isinstance(requested, Search):
        for name, default in TRAIN_ONLY.items():
            if getattr(requested.experiment, name) != default:
                raise ParameterError(f"{name}: a search does not use it")


def _executor(experiment: Experiment, method: Method) -> Executor:
    name, fold_timeout = resolve_executor(experiment.executor), experiment.fold_timeout
    is_inline = name == INLINE
    n_workers = 0 if is_inline else resolve_workers(experiment.workers)
    named = f"executor={INLINE}" if is_inline else "workers=0"
    if name not in (INLINE, PROCESSES):
        check_workers(method, 1, fold_timeout=fold_timeout)
        return make_executor(1, fold_timeout=fold_timeout, cluster=name)
    check_workers(method, n_workers, fold_timeout=fold_timeout, named=named)
    return make_executor(n_workers, fold_timeout=fold_timeout)


def _splits(experiment: Experiment, clips: Clips, size: Profile) -> SplitPlan:
    return sized_plan(
        clips,
        size,
        protocol=experiment.protocol,
        folds=experiment.folds,
        repeats=experiment.repeats,
        seed=experiment.seed,
    )


def _setting(
    experiment: Experiment,
    clips: Clips,
    plan: SplitPlan,
    *,
    size: Profile,
    hyperparameters: Mapping[str, Value],
    augmentations: tuple[Transform, ...],
    choice: InnerSearch | None = None,
) -> Setting:
    return resolve_setting(
        get_method(experiment.method),
        clips,
        plan,
        hyperparameters=hyperparameters,
        features=experiment.features,
        augmentations=augmentations,
        choice=choice,
        duration=size.duration if experiment.duration is None else experiment.duration,
        threads=experiment.threads,
        arithmetic=experiment.arithmetic,
        weights=experiment.weights,
        allow_unverified_weights=experiment.allow_unverified_weights,
        allow_columns=split_columns(experiment.allow_columns),
    )


def _inner_search(
    experiment: Experiment,
    method: Method,
    values: Mapping[str, Value],
    winner: Mapping[str, Any],
) -> InnerSearch | None:
    if not experiment.nested:
        return None
    strategy = experiment.strategy or winner.get("strategy", "neighbour")
    if strategy not in STRATEGIES:
        raise ParameterError(
            f"strategy={strategy}: nested=true works with {' and '.join(STRATEGIES)}"
        )
    space = resolve_space(experiment.space or winner.get("space"), method)
    start = asdict(method.resolve(values))
    return InnerSearch(strategy=strategy, space=space, start={name: start[name] for name in space})
