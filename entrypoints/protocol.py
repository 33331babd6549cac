"""What train and search work out alike: dataset, profile, splits, workers."""

from __future__ import annotations

from dataclasses import dataclass

from entrypoints.datasets import WITHOUT_FILES, announce_dataset
from mer_mlflow.crossval.executors import resolve_workers
from mer_mlflow.crossval.splits import FIXED_SPLITS, SplitPlan, split_plan
from mer_mlflow.datasets import Clips, data_root_or_default, load_dataset
from mer_mlflow.errors import ParameterError
from mer_mlflow.methods import Method
from mer_mlflow.profiles import Profile, get_profile


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A cross-validation's frame, with all defaults filled in.

    Attributes
    ----------
    dataset : its name
    source : where it was read from
    clips : its clips
    profile : name of the profile
    size : the profile
    duration : excerpt of each clip [s]
    plan : the splits
    n_workers : worker processes
    """

    dataset: str
    source: str
    clips: Clips
    profile: str
    size: Profile
    duration: float
    plan: SplitPlan
    n_workers: int


def resolve_protocol(
    declared: Method,
    *,
    dataset: str | None,
    data_root: str | None,
    profile: str | None,
    protocol: str,
    folds: int | None,
    repeats: int | None,
    seed: int,
    duration: float | None,
    workers: int | None,
) -> Resolved:
    """Fill in what the user left open, and read the dataset.

    Parameters
    ----------
    declared : the methodology
    dataset, data_root, profile, protocol, folds, repeats, seed, duration, workers : see ``train``

    Raises
    ------
    MerError
        If a parameter or the data cannot be used.
    """
    name = announce_dataset(dataset, data_root)
    profile_name = profile or ("quick" if name == WITHOUT_FILES else "paper")
    size = get_profile(profile_name)
    n_workers = resolve_workers(workers)
    if n_workers == 0 and declared.framework == "keras":
        raise ParameterError(
            f"workers=0: {declared.name} needs a worker, whose arithmetic threads are fixed; "
            "use workers=1"
        )
    clips = load_dataset(name, data_root, on_warning=lambda words: print(f"warning: {words}"))
    usual_repeats = 1 if protocol in FIXED_SPLITS else size.n_repeats
    plan = split_plan(
        clips,
        protocol=protocol,
        n_splits=size.n_splits if folds is None else folds,
        n_repeats=usual_repeats if repeats is None else repeats,
        seed=seed,
    )
    print(
        f"protocol: {protocol}, {plan.n_repeats} x {plan.n_splits} folds of {len(clips)} clips "
        f"(profile {profile_name})",
        flush=True,
    )
    return Resolved(
        dataset=name,
        source=str(data_root_or_default(data_root) or name),
        clips=clips,
        profile=profile_name,
        size=size,
        duration=size.duration if duration is None else duration,
        plan=plan,
        n_workers=n_workers,
    )
