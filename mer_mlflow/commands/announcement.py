"""Lines that several commands print: the dataset, the folds, the method, a logged model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from mer_mlflow.augmentation import BackgroundNoise
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.datasets import Clips, data_root_or_default, default_dataset, load_dataset

if TYPE_CHECKING:
    from mer_mlflow.deployment.delivery import Delivered


def announce_dataset(dataset: str | None, data_root: str | None) -> str:
    """Choose the dataset, and print the choice as the first line of a command.

    Parameters
    ----------
    dataset : requested name; by default Original-4QAED if a data root is given, else the demo
    data_root : data root given by the user, which overrides ``MER_DATA_ROOT``

    Returns
    -------
    name of the dataset
    """
    root = data_root_or_default(data_root)
    if dataset is not None:
        print(f"dataset: {dataset}", flush=True)
        return dataset
    dataset = default_dataset(data_root)
    if root is not None:
        print(f"dataset: {dataset} (the default with a data root: {root})", flush=True)
    else:
        print(
            f"dataset: {dataset} (the default without a data root; for real data give data_root "
            "or set MER_DATA_ROOT)",
            flush=True,
        )
    return dataset


def announced_clips(
    dataset: str, data_root: str | None, *, av_scale: str | None = None
) -> tuple[Clips, str]:
    """Load a dataset and print its warnings.

    Parameters
    ----------
    dataset : its name
    data_root : data root given by the user, which overrides ``MER_DATA_ROOT``
    av_scale : scale of arousal and valence, by default guessed

    Returns
    -------
    its clips, and their location

    Raises
    ------
    MerError
        If the dataset cannot be used.
    """
    clips = load_dataset(
        dataset,
        data_root,
        av_scale=av_scale,
        on_warning=lambda text: print(f"warning: {text}", flush=True),
    )
    return clips, str(data_root_or_default(data_root) or dataset)


def announce_protocol(setting: Setting, *, profile: str) -> None:
    """Print the protocol of a cross-validation.

    Parameters
    ----------
    setting : setting of the cross-validation
    profile : name of the profile
    """
    plan = setting.plan
    print(
        f"protocol: {plan.protocol}, {plan.n_repeats} x {plan.n_splits} folds of "
        f"{len(setting.clips)} clips (profile {profile})",
        flush=True,
    )


def announce_method(setting: Setting, *, chosen: str | None) -> None:
    """Print the methodology of a training, its inputs and the findings of checks.

    Parameters
    ----------
    setting : setting of the training
    chosen : source of handcrafted features that was requested, None for the default
    """
    shown = ", ".join(f"{key}={value}" for key, value in asdict(setting.hyperparameters).items())
    print(f"method: {setting.method.title} ({shown})", flush=True)
    if setting.features:
        why = "as requested"
        if chosen is None:
            read = setting.method.inputs_for(setting.hyperparameters)
            tables = [item.table for item in read if item.table is not None]
            has = "has" if setting.features == "published" else "has no"
            why = f"dataset {setting.clips.name} {has} table '{tables[0]}'"
        print(f"handcrafted features: {setting.features} ({why})", flush=True)
    for finding in setting.findings:
        print(f"warning: {finding}", flush=True)
    for found in setting.weights:
        message = "known" if found.is_known else "NOT VERIFIED"
        print(f"weights: {found.name}, {found.file} (SHA-256 {found.digest[:12]}…, {message})")
    n_copies = len(setting.augmentations)
    if n_copies:
        print(f"augmentation: {n_copies} synthesised copies of each training clip", flush=True)
    if any(isinstance(each, BackgroundNoise) and not each.files for each in setting.augmentations):
        print("notice: the background noise is synthesised; give recordings by -P noise_root=")


def print_delivered(delivered: Delivered) -> None:
    """Print the addresses of a model that was logged."""
    print(f"model: {delivered.address}")
    if delivered.registered is not None:
        print(f"registered: {delivered.registered} (alias candidate)")
