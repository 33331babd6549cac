"""What items of a study are as cross-validations: the settings that their commands resolve to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mer_mlflow.crossval.splits import SplitPlan
from mer_mlflow.crossval.validation import Setting, resolve_setting
from mer_mlflow.datasets import Clips
from mer_mlflow.methods import Value, get_method
from mer_mlflow.profiles import capped, sized_plan
from mer_mlflow.representations import Features
from mer_mlflow.studies.plan import MethodPlan, Plan, SearchPlan
from mer_mlflow.tuning.space import parse_space, start_point

if TYPE_CHECKING:
    from mer_mlflow.tuning.study import Search


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """A search of a study.

    Attributes
    ----------
    search : what is searched
    setting : cross-validation of the point that it begins at
    """

    search: Search
    setting: Setting


def training_setting(
    plan: Plan,
    method: str,
    clips: Clips,
    *,
    winner: Mapping[str, Value] | None,
    threads: int,
) -> Setting:
    """The cross-validation that a training is.

    Parameters
    ----------
    plan : of the study
    method : name of the methodology
    clips : the dataset
    winner : hyperparameters that its search found, None where it is not tuned
    threads : arithmetic threads of a fold

    Raises
    ------
    MerError
        If it cannot be run.
    """
    planned = plan.method(method)
    return resolve_setting(
        get_method(method),
        clips,
        _splits(plan, clips, repeats=plan.repeats),
        hyperparameters=_capped(
            plan, planned, clips, planned.hyperparameters if winner is None else winner
        ),
        features=features_of(plan, planned),
        duration=plan.duration_of(planned, clips.name),
        threads=threads,
    )


def tuning(
    plan: Plan,
    asked: SearchPlan,
    clips: Clips,
    *,
    winner: Mapping[str, Value] | None,
    threads: int,
) -> Tuning:
    """The search that a plan asks for.

    Parameters
    ----------
    plan : of the study
    asked : the search
    clips : the dataset
    winner : hyperparameters that the search found that this one begins at, None for the
        methodology's defaults
    threads : arithmetic threads of a fold

    Raises
    ------
    MerError
        If it cannot be run.
    """
    from mer_mlflow.tuning.declare import declare_search
    from mer_mlflow.tuning.trials import Protocol

    declared, planned = get_method(asked.method), plan.method(asked.method)
    space = parse_space(asked.space, declared)
    start = start_point(declared, space, beginning(asked, winner))
    fixed = _capped(plan, planned, clips, planned.hyperparameters)
    protocol = Protocol(
        method=declared,
        clips=clips,
        plan=_splits(plan, clips, repeats=search_repeats(plan, asked)),
        hyperparameters={name: value for name, value in fixed.items() if name not in space},
        features=features_of(plan, planned),
        duration=plan.duration_of(planned, clips.name),
        threads=threads,
    )
    search = declare_search(
        protocol,
        strategy=asked.strategy,
        space=space,
        start=start,
        trials=asked.trials,
        prune=asked.prune,
    )
    return Tuning(search=search, setting=protocol.setting(start))


def beginning(asked: SearchPlan, winner: Mapping[str, Value] | None) -> dict[str, Value]:
    """The winner of another methodology's search, as far as it is searched here."""
    space = parse_space(asked.space, get_method(asked.method))
    return {name: winner[name] for name in space if winner is not None and name in winner}


def search_repeats(plan: Plan, asked: SearchPlan) -> int | None:
    """Repetitions of a search's folds, None for the profile's."""
    return plan.repeats if asked.repeats is None else asked.repeats


def features_of(plan: Plan, method: MethodPlan) -> str | None:
    """Source of handcrafted features, None for the dataset's choice or where none are read."""
    declared = get_method(method.name)
    inputs = declared.inputs_for(declared.resolve(method.hyperparameters))
    reads = any(isinstance(item, Features) for item in inputs)
    return (method.features or plan.features) if reads else None


def check_inputs(setting: Setting) -> None:
    """Make sure that a dataset has what a methodology reads, without computing anything.

    Raises
    ------
    DatasetError
        If audio files or features are missing.
    """
    for item in setting.inputs:
        if isinstance(item, Features):
            setting.clips.feature_values(item.table)
        else:
            setting.clips.audio_files()


def _capped(
    plan: Plan, method: MethodPlan, clips: Clips, given: Mapping[str, Value]
) -> dict[str, Value]:
    return capped(
        get_method(method.name),
        given,
        profile=plan.size(clips.name),
        max_epochs=plan.epochs_of(method),
    )


def _splits(plan: Plan, clips: Clips, *, repeats: int | None) -> SplitPlan:
    return sized_plan(
        clips,
        plan.size(clips.name),
        protocol=plan.protocol,
        folds=plan.folds,
        repeats=repeats,
        seed=plan.seed,
    )
