"""Cross-validation of one methodology on one dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from mer_mlflow.arithmetic import NATIVE
from mer_mlflow.augmentation import Transform
from mer_mlflow.crossval.executors import (
    Executor,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldStarted,
    make_executor,
    resolve_workers,
)
from mer_mlflow.crossval.jobs import FoldResult, Job
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, gather, resolve_setting, task_of
from mer_mlflow.crossval.splits import Split, SplitPlan, split_plan
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import IncompleteError
from mer_mlflow.representations import (
    Examples,
    Store,
    open_store,
)
from mer_mlflow.training import Illustration, Method, Value


class Listener(Protocol):
    """Receives the events of a cross-validation, and may have results of some folds already."""

    @property
    def known(self) -> Mapping[str, FoldResult]:
        """Results by split id of folds that need not run."""

    def on_event(self, event: FoldEvent) -> None:
        """Called in the caller's process with everything that happens."""


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
    allow_columns : columns of feature tables that are read in spite of a check
    store : where representations are kept, by default in the user's cache folder

    Returns
    -------
    scores, predictions and histories of the folds

    Raises
    ------
    ParameterError, DatasetError, AudioError, WeightsError
        If a parameter is not allowed, or data or pretrained weights cannot be used.
    CheckError
        If a check refuses a column that is read.
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
        setting, examples, executor=make_executor(resolve_workers(workers)), test_curve=test_curve
    )
    if not validation.is_complete:
        raise IncompleteError(validation.shortage)
    return validation


def validate(
    setting: Setting,
    examples: Examples,
    *,
    executor: Executor,
    test_curve: bool = False,
    listener: Listener | None = None,
    order: Sequence[Split] | None = None,
    ready: Mapping[str, FoldResult] = MappingProxyType({}),
    probes: Mapping[str, Examples] = MappingProxyType({}),
) -> CrossValidation:
    """Cross-validate a setting, and report every event to a listener.

    Parameters
    ----------
    setting : what to cross-validate
    examples : the setting's inputs of all clips
    executor : runs the folds
    test_curve : whether test clips are predicted after every epoch
    listener : receives the events, and has the results of folds that are done
    order : the plan's splits in the order in which they are run, by default the plan's
    ready : results by split id that were just computed, reported like all others
    probes : copies of all clips by transforms, from :func:`gather_probes`

    Raises
    ------
    ParameterError
        If workers are to run a method that is not registered.
    UntrainableError
        If no fold can be run, however often it is tried.
    """
    known = dict(listener.known) if listener is not None else {}
    splits = setting.plan.splits
    failures: list[FoldFailed] = []

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldFinished):
            numbers = event.result.illustration.numbers  # the arrays of all folds would fill memory
            known[event.job.split.id] = replace(
                event.result, illustration=Illustration(numbers=numbers)
            )
        elif isinstance(event, FoldFailed):
            failures.append(event)
        if listener is not None:
            listener.on_event(event)

    jobs = [Job(split=split, hyperparameters=setting.hyperparameters) for split in order or splits]
    for job in jobs:
        if job.split.id not in known and job.split.id in ready:
            on_event(FoldStarted(job=job))
            on_event(FoldFinished(job=job, result=ready[job.split.id]))
    batches = [(job,) for job in jobs if job.split.id not in known]
    if batches:
        task = task_of(setting, examples, test_curve=test_curve, probes=probes)
        executor.run(task, batches, on_event=on_event)
    return CrossValidation(
        setting=setting,
        results=tuple(known[split.id] for split in splits if split.id in known),
        failures=tuple(failures),
    )
