"""Settings: what is cross-validated, with everything resolved for given clips."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from mer_mlflow.arithmetic import NATIVE, check_arithmetic
from mer_mlflow.augmentation import (
    SYNTHESIS,
    Transform,
    needed_for,
    refuse_unusable,
    with_synthesised,
)
from mer_mlflow.checks import ALLOW_COLUMNS, Finding, check_columns, refuse
from mer_mlflow.crossval.executors import MOST_THREADS
from mer_mlflow.crossval.jobs import Choice, Task
from mer_mlflow.crossval.splits import SplitPlan
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import MerError, ParameterError
from mer_mlflow.networks import backend_name
from mer_mlflow.representations import (
    Examples,
    Input,
    Representation,
    Store,
    StoredArray,
    examples_of,
    feature_tables,
    with_duration,
    with_features,
    with_weights,
)
from mer_mlflow.training import Method, Value, require_framework
from mer_mlflow.weights import Weights


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is cross-validated: all that a fold's predictions depend on.

    Attributes
    ----------
    method : the methodology
    hyperparameters : resolved, an instance of the method's dataclass
    inputs : what the method reads, of the excerpt length in use
    clips : the dataset
    plan : its splits
    duration : excerpt of each clip [s], None where only feature tables are read
    threads : arithmetic threads of a fold
    augmentations : each gives every training clip a synthesised copy to train on
    choice : how each training set chooses hyperparameters, None where it does not
    findings : what checks found and the user allowed, and what is no more than a warning
    arithmetic : one of :data:`mer_mlflow.arithmetic.ARITHMETICS`, of folds and representations
    only_quadrants : whether no probabilities are needed, as in the trials of a search
    """

    method: Method
    hyperparameters: Any
    inputs: tuple[Input, ...]
    clips: Clips
    plan: SplitPlan
    duration: float | None
    threads: int
    augmentations: tuple[Transform, ...] = ()
    choice: Choice | None = None
    findings: tuple[Finding, ...] = ()
    arithmetic: str = NATIVE
    only_quadrants: bool = False

    @cached_property
    def identity(self) -> str:
        """Hex digest that is equal where folds of the same id give the same predictions.

        The number of repetitions is left out: fewer are a prefix of more. So are the versions of
        packages and, unless the arithmetic is portable, the processor's kernels; runs carry them as
        tags.
        """
        backends = {"keras": backend_name(), "torch": "torch"}
        backend = backends.get(self.method.framework)
        facts: dict[str, Any] = {
            "method": [self.method.name, self.method.version],
            "hyperparameters": asdict(self.hyperparameters),
            "inputs": [item.key for item in self.inputs],
            "augmentations": [SYNTHESIS, *(item.key for item in self.augmentations)],
            "dataset": [self.clips.name, self.clips.digest],
            "splits": [self.plan.protocol, self.plan.n_splits, self.plan.digest],
            "seed": self.plan.seed,
            "arithmetic": [] if backend is None else [backend, self.threads],
        }
        if self.choice is not None:
            facts["choice"] = dict(self.choice.facts)
        if self.arithmetic != NATIVE:
            facts["kernels"] = self.arithmetic
        if self.only_quadrants:
            facts["predictions"] = "quadrants"
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]

    @property
    def earlier(self) -> Setting | None:
        """This setting with the ids of earlier versions, None where clips have the same."""
        clips = self.clips.as_earlier()
        return None if clips is None else replace(self, clips=clips)

    @property
    def weights(self) -> tuple[Weights, ...]:
        """Files of the pretrained networks that inputs are computed by."""
        found = [item.weights for item in self.inputs]
        return tuple(dict.fromkeys(each for each in found if each is not None))

    @property
    def representations(self) -> tuple[Representation, ...]:
        """Representations of recordings and synthesised copies, without duplicates."""
        return needed_for(self.inputs, self.augmentations, seed=self.plan.seed)

    @property
    def features(self) -> str | None:
        """Where handcrafted features come from, None where the method reads none."""
        handcrafted = (item for item in self.inputs if item.is_handcrafted)
        sources = ("extracted" if item.table is None else "published" for item in handcrafted)
        return next(sources, None)


def resolve_setting(
    method: Method,
    clips: Clips,
    plan: SplitPlan,
    *,
    hyperparameters: Mapping[str, Value] | None = None,
    features: str | None = None,
    duration: float = 30.0,
    threads: int = 1,
    augmentations: Sequence[Transform] | None = None,
    choice: Choice | None = None,
    arithmetic: str = NATIVE,
    weights: Path | str | None = None,
    allow_unverified_weights: bool = False,
    allow_columns: Sequence[str] = (),
) -> Setting:
    """Complete and check what is to be cross-validated.

    Parameters
    ----------
    method : the methodology
    clips : the dataset
    plan : its splits
    hyperparameters : values that differ from the method's defaults
    features : ``"published"`` for the dataset's tables of handcrafted features, ``"extracted"`` for
        those computed from audio; by default published where the dataset has them
    duration : float > 0 [s], excerpt of each clip that representations see
    threads : int from 1 to 1024, arithmetic threads of a fold
    augmentations : transforms that give every training clip a synthesised copy to train on, by
        default the method's own
    choice : how each training set chooses hyperparameters, by default not at all
    arithmetic : ``"native"``, or ``"portable"`` for kernels that every x86-64 processor with AVX2
        has
    weights : file of pretrained weights, or folder that holds them, by default
        ``MER_WEIGHTS_ROOT``
    allow_unverified_weights : whether files whose digest is not known are taken
    allow_columns : columns of feature tables that are read in spite of a check

    Raises
    ------
    ParameterError
        If a value is not allowed.
        Or a package is missing, without which the methodology cannot be trained.
    CheckError
        If a check refuses a column that is read.
    DatasetError
        If a training set has too few clips of a quadrant.
    WeightsError
        If pretrained weights are needed and not there.
    """
    if not 1 <= threads <= MOST_THREADS:
        raise ParameterError(f"threads={threads}: must be >= 1 and <= {MOST_THREADS}")
    check_arithmetic(arithmetic)
    require_framework(method)
    resolved = method.resolve(hyperparameters)
    read = with_features(method.inputs_for(resolved), clips, source=features)
    inputs = with_weights(
        with_duration(read, duration), weights, allow_unverified=allow_unverified_weights
    )
    if len({item.key for item in read}) < len(read):
        raise ParameterError(
            f"{method.name} would read the same features twice: the dataset lacks one of its tables"
        )
    transforms = tuple(method.augmentations if augmentations is None else augmentations)
    refuse_unusable(transforms, inputs, method=method.name)
    reads_audio = any(item.table is None for item in inputs)
    if reads_audio and duration < method.shortest:
        raise ParameterError(
            f"duration={duration:g}: {method.name} needs at least {method.shortest:g} seconds"
        )
    tables = [item.table for item in inputs if item.table is not None]
    findings = check_columns(clips, tables, allow=allow_columns)
    refuse(findings, allow=ALLOW_COLUMNS)
    _require_clips(method, clips, plan, choice)
    return Setting(
        method=method,
        hyperparameters=resolved,
        inputs=inputs,
        duration=float(duration) if reads_audio else None,
        clips=clips,
        plan=plan,
        threads=threads,
        augmentations=transforms,
        choice=choice,
        findings=findings,
        arithmetic=arithmetic,
    )


def with_hyperparameters(setting: Setting, point: Mapping[str, Value]) -> Setting:
    """The same setting with other hyperparameters, which do not change what is read.

    Parameters
    ----------
    setting : what is cross-validated
    point : values by hyperparameter

    Raises
    ------
    ParameterError
        If a value is not allowed.
    """
    checked = setting.method.resolve(point)
    values = {name: getattr(checked, name) for name in point}
    return replace(setting, hyperparameters=replace(setting.hyperparameters, **values))


def task_of(
    setting: Setting,
    examples: Examples,
    *,
    test_curve: bool = False,
    probes: Mapping[str, Examples] = MappingProxyType({}),
) -> Task:
    """What the jobs of a setting share.

    Parameters
    ----------
    setting : what is cross-validated
    examples : the setting's inputs of all clips
    test_curve : whether test clips are predicted after every epoch
    probes : copies of all clips by transforms, from :func:`gather_probes`
    """
    return Task(
        method=setting.method,
        examples=examples,
        test_curve=test_curve,
        choice=setting.choice,
        probes=dict(probes),
        threads=setting.threads,
        arithmetic=setting.arithmetic,
        only_quadrants=setting.only_quadrants,
        title=f"{setting.method.name} · {setting.clips.name}",
    )


def _require_clips(method: Method, clips: Clips, plan: SplitPlan, choice: Choice | None) -> None:
    """Make sure that each training set has enough clips of each quadrant."""
    for split in plan.splits:
        labels = clips.quadrants[split.train]
        try:
            if method.require_clips is not None:
                method.require_clips(labels)
            if choice is not None:
                choice.require_clips(method, labels)
        except MerError as error:
            raise type(error)(
                f"{method.name} cannot be trained in fold {split.id}: {error}; use more clips, "
                "other folds or another methodology"
            ) from error


def gather(
    setting: Setting,
    *,
    store: Store,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Examples:
    """Read or compute a setting's inputs of all clips, and of what is synthesised from them.

    Parameters
    ----------
    setting : what is to be cross-validated
    store : where representations are kept
    on_progress : called with (computed, to compute) after each clip

    Raises
    ------
    DatasetError, AudioError
        If clips lack what an input needs.
    """
    stored = _stored(setting, setting.augmentations, store=store, on_progress=on_progress)
    return _examples(setting, setting.augmentations, stored)


def _stored(
    setting: Setting,
    transforms: Sequence[Transform],
    *,
    store: Store,
    on_progress: Callable[[int, int], None],
) -> dict[str, StoredArray]:
    """Compute the representations of all clips and of their copies; each file is decoded once."""
    feature_tables(setting.clips, setting.inputs)
    return replace(store, arithmetic=setting.arithmetic).fill_all(
        setting.clips,
        needed_for(setting.inputs, transforms, seed=setting.plan.seed),
        on_progress=on_progress,
        on_warning=lambda words: print(f"warning: {words}", flush=True),
    )


def _examples(
    setting: Setting, transforms: Sequence[Transform], stored: Mapping[str, StoredArray]
) -> Examples:
    return with_synthesised(
        examples_of(setting.clips, setting.inputs, stored),
        setting.inputs,
        transforms=transforms,
        seed=setting.plan.seed,
        stored=stored,
    )


def gather_probes(
    setting: Setting,
    transforms: Mapping[str, Transform],
    *,
    store: Store,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Examples]:
    """Read or compute a copy of every clip by each transform, for trained models to predict.

    Parameters
    ----------
    setting : what is to be cross-validated
    transforms : by name
    store : where representations are kept
    on_progress : called with (computed, to compute) after each clip

    Raises
    ------
    ParameterError
        If the method's inputs cannot be changed by a transform.
    DatasetError, AudioError
        If clips lack what an input needs.
    """
    clips = setting.clips
    refuse_unusable(tuple(transforms.values()), setting.inputs, method=setting.method.name)
    if not transforms:
        return {}
    each = tuple(transforms.values())
    stored = _stored(setting, each, store=store, on_progress=on_progress)
    copies = np.arange(len(clips), 2 * len(clips))
    return {
        name: _examples(setting, (transform,), stored).take(copies)
        for name, transform in transforms.items()
    }
