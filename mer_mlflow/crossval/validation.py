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
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldStarted,
    resolve_workers,
    run_folds,
)
from mer_mlflow.crossval.fold import FoldResult, Task
from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.crossval.setting import Setting, gather, resolve_setting
from mer_mlflow.crossval.splits import SplitPlan, split_plan
from mer_mlflow.datasets.clips import Clips
from mer_mlflow.errors import IncompleteError, ParameterError
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations import (
    Examples,
    Store,
    open_store,
)
from mer_mlflow.training import Illustration, Method, Value


class Listener(Protocol):
    """Whoever follows a cross-validation, and may know some of its folds already."""

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
