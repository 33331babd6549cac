"""Cross-validation of one methodology on one dataset."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import pandas as pd

from mer_mlflow.arithmetic import NATIVE, check_arithmetic
from mer_mlflow.augmentation import SYNTHESIS, Transform, refuse_unusable, with_synthesised
from mer_mlflow.checks import ALLOW_COLUMNS, Finding, check_columns, refuse
from mer_mlflow.crossval.executors import (
    MOST_THREADS,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldStarted,
    resolve_workers,
    run_folds,
)
from mer_mlflow.crossval.fold import Choice, FoldResult, Task
from mer_mlflow.crossval.metrics import SCORES, Summary, score, summarise
from mer_mlflow.crossval.splits import FIXED_SPLITS, SplitPlan, split_plan
from mer_mlflow.datasets.clips import QUADRANTS, Clips
from mer_mlflow.errors import DivergenceError, IncompleteError, MerError, ParameterError, listing
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.networks import backend_name
from mer_mlflow.representations import (
    Examples,
    Input,
    Store,
    assemble,
    open_store,
    with_duration,
    with_features,
    with_weights,
)
from mer_mlflow.training import Illustration, Method, Value, require_framework
from mer_mlflow.weights import Weights

CHANGED = "changed/"
"""Prefix of a transform's name: share of test clips whose copy is put into another quadrant."""
NOTES = "notes/"
"""Prefix of what else there is to be known of a trained model, by its names."""


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
    allow_columns : columns of feature tables that are read though a check stands against them

    Raises
    ------
    ParameterError
        If a value is not allowed.
        Or a package is missing, without which the methodology cannot be trained.
    CheckError
        If a check stands against a column that is read.
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
    clips, inputs = setting.clips, setting.inputs
    store = replace(store, arithmetic=setting.arithmetic)
    return with_synthesised(
        assemble(clips, inputs, store=store, on_progress=on_progress),
        clips,
        inputs,
        transforms=setting.augmentations,
        seed=setting.plan.seed,
        store=store,
        on_progress=on_progress,
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
    clips, inputs = setting.clips, setting.inputs
    store = replace(store, arithmetic=setting.arithmetic)
    refuse_unusable(tuple(transforms.values()), inputs, method=setting.method.name)
    recordings = assemble(clips, inputs, store=store, on_progress=on_progress)
    both = {
        name: with_synthesised(
            recordings,
            clips,
            inputs,
            transforms=(transform,),
            seed=setting.plan.seed,
            store=store,
            on_progress=on_progress,
        )
        for name, transform in transforms.items()
    }
    return {name: every.take(np.arange(len(clips), len(every))) for name, every in both.items()}


class Listener(Protocol):
    """Whoever follows a cross-validation, and may know some of its folds already."""

    @property
    def known(self) -> Mapping[str, FoldResult]:
        """Results by split id of folds that need not run."""

    def on_event(self, event: FoldEvent) -> None:
        """Called in the caller's process with everything that happens."""


@dataclass(frozen=True, kw_only=True)
class CrossValidation:
    """Results of a cross-validation.

    Attributes
    ----------
    setting : what was cross-validated
    results : of the finished folds, in the plan's order
    failures : folds that ended without a result
    """

    setting: Setting
    results: tuple[FoldResult, ...]
    failures: tuple[FoldFailed, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every fold of the plan has a result."""
        return len(self.results) == len(self.setting.plan.splits)

    @cached_property
    def folds(self) -> pd.DataFrame:
        """Table with a row a fold: split, scores, times, memory."""
        return pd.DataFrame([fold_row(result) for result in self.results])

    @cached_property
    def predictions(self) -> pd.DataFrame:
        """Table with a row for each fold's test clip: quadrants and probabilities."""
        frames = [prediction_table(result, self.setting.clips) for result in self.results]
        return pd.concat(frames, ignore_index=True)

    @cached_property
    def summary(self) -> dict[str, Summary]:
        """Mean, deviation and corrected interval of every score over the folds.

        Scores of a hybrid's stages have their name before them: ``audio/f1_macro``.

        Raises
        ------
        IncompleteError
            If a fold has no result: what is there must not pass for the whole.
        """
        if not self.is_complete:
            raise IncompleteError(self.shortage)
        plan = self.setting.plan
        share = None if plan.protocol in FIXED_SPLITS else plan.test_share
        return {
            name: summarise(self.folds[name].to_numpy(dtype=np.float64), test_share=share)
            for name in self.folds.columns
            if name.rpartition("/")[2] in SCORES
        }

    @property
    def shortage(self) -> str:
        """How many folds have a result, and why others have none."""
        reasons = listing([f"{item.split.id}: {item.reason}" for item in self.failures], most=3)
        n_done, n_folds = len(self.results), len(self.setting.plan.splits)
        return f"{n_done} of {n_folds} folds have a result ({reasons})"

    @property
    def advice(self) -> str:
        """What to do about folds without a result."""
        certain = [item for item in self.failures if item.is_certain]
        if len(certain) < len(self.failures) or not certain:
            late = any(item.is_late for item in self.failures)
            words = "give the same command again to run the missing folds"
            return f"{words}, with a larger fold_timeout" if late else words
        diverged = all(item.reason.startswith(DivergenceError.__name__) for item in certain)
        change = "a smaller learning_rate" if diverged else "other hyperparameters or data"
        return f"the same command would fail again, as each of these folds did twice: try {change}"


def fold_row(result: FoldResult) -> dict[str, float | str]:
    """Row of a fold: its split, scores (a stage's as ``stage/score``), seconds, memory [MiB]."""
    repeat, fold = (int(part[1:]) for part in result.split_id.split("-"))
    row: dict[str, float | str] = {"split": result.split_id, "repeat": repeat, "fold": fold}
    row |= score(result.true, result.prediction.quadrants)
    for stage, probabilities in result.prediction.stages.items():
        scores = score(result.true, probabilities.argmax(axis=1))
        row |= {f"{stage}/{name}": value for name, value in scores.items()}
    row |= {
        "fit_seconds": result.fit_seconds,
        "predict_seconds": result.predict_seconds,
        "peak_memory_mib": result.peak_memory,
        "n_epochs": len(result.epochs),
    }
    if result.n_parameters is not None:
        row["n_parameters"] = result.n_parameters
    row |= {f"{CHANGED}{name}": share for name, share in result.changed.items()}
    row |= {f"{NOTES}{name}": number for name, number in result.illustration.numbers.items()}
    row |= {f"hp.{name}": value for name, value in result.chosen.items()}
    return row


def prediction_table(result: FoldResult, clips: Clips) -> pd.DataFrame:
    """Table with a row a test clip: split, clip, true and predicted quadrant, probabilities.

    The probabilities of a hybrid's stages have their name before them: ``audio/p_Q1``.
    """
    prediction = result.prediction
    columns: dict[str, Any] = {
        "split": result.split_id,
        "clip": [clips.ids[i] for i in result.test],
        "quadrant": [QUADRANTS[label] for label in result.true],
        "predicted": [QUADRANTS[label] for label in prediction.quadrants],
    }
    for prefix, probabilities in (
        ("", prediction.probabilities),
        *((f"{stage}/", values) for stage, values in prediction.stages.items()),
    ):
        columns |= {f"{prefix}p_{name}": probabilities[:, k] for k, name in enumerate(QUADRANTS)}
    return pd.DataFrame(columns)


def cross_validate(
    method: Method,
    clips: Clips,
    *,
    plan: SplitPlan | None = None,
    hyperparameters: Mapping[str, Value] | None = None,
    features: str | None = None,
    duration: float = 30.0,
    workers: int | None = None,
    threads: int = 1,
    arithmetic: str = NATIVE,
    augmentations: Sequence[Transform] | None = None,
    test_curve: bool = False,
    weights: Path | str | None = None,
    allow_unverified_weights: bool = False,
    allow_columns: Sequence[str] = (),
    store: Store | None = None,
) -> CrossValidation:
    """Cross-validate a methodology.

    Parameters
    ----------
    method : from :func:`mer_mlflow.get_method`, or a declaration of your own
    clips : from :func:`mer_mlflow.load_dataset`
    plan : from :func:`mer_mlflow.split_plan`, by default ten times ten stratified folds
    hyperparameters : values that differ from the method's defaults
    features : ``"published"`` or ``"extracted"`` handcrafted features, by default published where
        the dataset has them
    duration : float > 0 [s], excerpt of each clip that representations see
    workers : worker processes, by default one a core; 0 runs everything in this process, a network
        then with the threads that its framework chooses
    threads : int >= 1, arithmetic threads of a worker
    arithmetic : ``"native"``, or ``"portable"`` for kernels that every x86-64 processor with AVX2
        has. Representations that the store lacks, and folds with ``workers=0``, then need a process
        that was started with the variables of :func:`mer_mlflow.arithmetic.environment`
    augmentations : transforms from :func:`mer_mlflow.augmentation.get_transforms` that give every
        training clip a synthesised copy to train on, by default the method's own
    test_curve : whether test clips are predicted after every epoch, for a look at over-fitting
    weights : file of pretrained weights, or folder that holds them, by default
        ``MER_WEIGHTS_ROOT``
    allow_unverified_weights : whether files whose digest is not known are taken
    allow_columns : columns of feature tables that are read though a check stands against them
    store : where representations are kept, by default in the user's cache folder

    Returns
    -------
    scores, predictions and histories of the folds

    Raises
    ------
    ParameterError, DatasetError, AudioError, WeightsError
        If a parameter is not allowed, or data or pretrained weights cannot be used.
    CheckError
        If a check stands against a column that is read.
    IncompleteError
        If a fold failed.

    Examples
    --------
    >>> from mer_mlflow import cross_validate, get_method, load_dataset, split_plan
    >>> clips = load_dataset("demo")  # doctest: +SKIP
    >>> plan = split_plan(clips, n_splits=5, n_repeats=1)  # doctest: +SKIP
    >>> result = cross_validate(get_method("svm"), clips, plan=plan)  # doctest: +SKIP
    >>> round(result.summary["f1_macro"].mean, 2)  # doctest: +SKIP
    0.81
    """
    setting = resolve_setting(
        method,
        clips,
        plan or split_plan(clips),
        hyperparameters=hyperparameters,
        features=features,
        duration=duration,
        threads=threads,
        arithmetic=arithmetic,
        augmentations=augmentations,
        weights=weights,
        allow_unverified_weights=allow_unverified_weights,
        allow_columns=allow_columns,
    )
    examples = gather(setting, store=store or open_store())
    validation = validate(
        setting, examples, workers=resolve_workers(workers), test_curve=test_curve
    )
    if not validation.is_complete:
        raise IncompleteError(validation.shortage)
    return validation


def validate(
    setting: Setting,
    examples: Examples,
    *,
    workers: int,
    test_curve: bool = False,
    fold_timeout: float | None = None,
    listener: Listener | None = None,
    ready: Mapping[str, FoldResult] = MappingProxyType({}),
    probes: Mapping[str, Examples] = MappingProxyType({}),
) -> CrossValidation:
    """Cross-validate a setting, telling a listener what happens.

    Parameters
    ----------
    setting : what to cross-validate
    examples : the setting's inputs of all clips
    workers : int >= 0, worker processes; 0 runs everything in this process
    test_curve : whether test clips are predicted after every epoch
    fold_timeout : float > 0 [s], time that a fold may take in a worker, by default any
    listener : follows the folds and knows those that are done
    ready : results by split id that were just computed, told to the listener like all others
    probes : copies of all clips by transforms, from :func:`gather_probes`

    Raises
    ------
    ParameterError
        If workers are to run a method that is not registered.
    UntrainableError
        If no fold can be run, whatever the number of tries.
    """
    method = setting.method
    if workers and (method.name not in method_names() or get_method(method.name) is not method):
        raise ParameterError(
            f"method {method.name} is not registered: workers cannot find it; use workers=0"
        )
    known = dict(listener.known) if listener is not None else {}
    splits = setting.plan.splits
    failures: list[FoldFailed] = []

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldFinished):
            numbers = event.result.illustration.numbers  # the arrays of all folds would fill memory
            known[event.split.id] = replace(
                event.result, illustration=Illustration(numbers=numbers)
            )
        elif isinstance(event, FoldFailed):
            failures.append(event)
        if listener is not None:
            listener.on_event(event)

    for split in splits:
        if split.id not in known and split.id in ready:
            on_event(FoldStarted(split=split))
            on_event(FoldFinished(split=split, result=ready[split.id]))
    todo = [split for split in splits if split.id not in known]
    if todo:
        task = Task(
            method=method,
            hyperparameters=setting.hyperparameters,
            examples=examples,
            test_curve=test_curve,
            choice=setting.choice,
            probes=dict(probes),
        )
        run_folds(
            task,
            todo,
            workers=workers,
            threads=setting.threads,
            arithmetic=setting.arithmetic,
            on_event=on_event,
            fold_timeout=fold_timeout,
        )
    return CrossValidation(
        setting=setting,
        results=tuple(known[split.id] for split in splits if split.id in known),
        failures=tuple(failures),
    )
