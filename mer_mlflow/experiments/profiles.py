"""Profiles: number of folds, length of excerpts and limits of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mer_mlflow.crossval.splits import SplitPlan, is_fixed, split_plan
from mer_mlflow.datasets import Clips, get_dataset
from mer_mlflow.errors import ParameterError
from mer_mlflow.training import Method, Value
from mer_mlflow.training.hyperparameters import Role, values_of


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Size of a cross-validation.

    Attributes
    ----------
    n_splits, n_repeats : number of folds and repetitions
    duration : length of the excerpt of each clip [s]
    caps_epochs : whether epochs are limited to the method's ``quick_epochs``
    max_batch_size : maximum batch size, so that few epochs have enough steps; None for no limit
    """

    n_splits: int
    n_repeats: int
    duration: float
    caps_epochs: bool
    max_batch_size: int | None


PROFILES = {
    "paper": Profile(
        n_splits=10, n_repeats=10, duration=30.0, caps_epochs=False, max_batch_size=None
    ),
    "quick": Profile(n_splits=5, n_repeats=1, duration=10.0, caps_epochs=True, max_batch_size=4),
}
"""``paper`` is the study's protocol; ``quick`` is a smaller version for a first test."""


def get_profile(name: str) -> Profile:
    """Return a profile by name.

    Raises
    ------
    ParameterError
        If no profile has this name.
    """
    if name not in PROFILES:
        raise ParameterError(f"profile={name}: unknown; profiles are {', '.join(PROFILES)}")
    return PROFILES[name]


def default_profile(dataset: str) -> str:
    """Return the name of a dataset's default profile: quick for the demo, else paper."""
    return "paper" if get_dataset(dataset).needs_root else "quick"


def sized_plan(
    clips: Clips,
    profile: Profile,
    *,
    protocol: str,
    folds: int | None,
    repeats: int | None,
    seed: int,
) -> SplitPlan:
    """Create the split plan of a protocol with a profile's size.

    Parameters
    ----------
    clips : clips of the dataset
    profile : default numbers of folds and repetitions; fixed partitions are not repeated by
        default
    protocol : ``paper``, ``grouped``, ``fixed`` or ``fixed-NAME``
    folds, repeats : override the profile
    seed : int >= 0

    Raises
    ------
    MerError
        If the split plan is impossible.
    """
    usual_repeats = 1 if is_fixed(protocol) else profile.n_repeats
    return split_plan(
        clips,
        protocol=protocol,
        n_splits=profile.n_splits if folds is None else folds,
        n_repeats=usual_repeats if repeats is None else repeats,
        seed=seed,
    )


def limited(
    method: Method,
    given: Mapping[str, Value],
    *,
    profile: Profile,
    max_epochs: int | None,
) -> dict[str, Value]:
    """Apply a profile's limits to hyperparameters that the user did not set.

    Parameters
    ----------
    method : the methodology
    given : hyperparameters set by the user
    profile : the profile
    max_epochs : limit set by the user, which has priority over all other values

    Returns
    -------
    hyperparameters, with limited numbers of epochs and batch sizes

    Raises
    ------
    ParameterError
        If ``max_epochs`` is not positive.
    """
    if max_epochs is not None and max_epochs < 1:
        raise ParameterError(f"max_epochs={max_epochs}: must be >= 1")
    resolved, defaults = method.resolve(given), method.defaults
    epochs, batches = values_of(resolved, Role.EPOCHS), values_of(resolved, Role.BATCH)
    caps = dict.fromkeys(epochs, method.quick_epochs if profile.caps_epochs else None)
    caps |= dict.fromkeys(batches, profile.max_batch_size)
    limits = {
        name: cap
        for name, cap in caps.items()
        if cap is not None and getattr(resolved, name) == defaults[name]
    }
    if max_epochs is not None:
        limits |= dict.fromkeys(epochs, max_epochs)
    return dict(given) | {name: min(getattr(resolved, name), cap) for name, cap in limits.items()}
