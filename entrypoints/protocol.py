"""What train and search work out alike: dataset, profile, splits, workers."""

from __future__ import annotations

from dataclasses import dataclass

from entrypoints.datasets import announce_dataset
from entrypoints.parameters import listed
from mer_mlflow.augmentation import Transform, draw_noise_from, get_transforms
from mer_mlflow.crossval.executors import check_workers, resolve_workers
from mer_mlflow.crossval.splits import SplitPlan
from mer_mlflow.datasets import Clips, data_root_or_default, load_dataset
from mer_mlflow.methods import Method
from mer_mlflow.profiles import Profile, default_profile, get_profile, sized_plan

NO_TRANSFORMS = "none"


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
    profile_name = profile or default_profile(name)
    size = get_profile(profile_name)
    n_workers = resolve_workers(workers)
    check_workers(declared, n_workers)
    clips = load_dataset(name, data_root, on_warning=lambda words: print(f"warning: {words}"))
    plan = sized_plan(clips, size, protocol=protocol, folds=folds, repeats=repeats, seed=seed)
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


def resolve_transforms(
    declared: Method, *, augment: str | None, noise_root: str | None, probe: str | None = None
) -> tuple[tuple[Transform, ...], dict[str, Transform]]:
    """Read which transforms make training copies, and of which copies trained models are asked.

    Parameters
    ----------
    declared : the methodology, whose own transforms are the default of training copies
    augment : names with commas between them, or ``none``
    noise_root : folder of recordings for background noise
    probe : names with commas between them

    Returns
    -------
    transforms of training copies; those of probes by name

    Raises
    ------
    MerError
        If a transform is unknown or the folder cannot be used.
    """
    training = declared.augmentations
    if augment is not None:
        training = get_transforms(listed(augment) if augment != NO_TRANSFORMS else [])
    names = listed(probe)
    probes = get_transforms(names)
    if noise_root:
        both = draw_noise_from((*training, *probes), noise_root)
        training, probes = both[: len(training)], both[len(training) :]
    return training, dict(zip(names, probes, strict=True))
