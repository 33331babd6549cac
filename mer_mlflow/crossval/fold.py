"""The fold job: a pure function from a method, data, a split and a seed to predictions."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.arithmetic import Facts, describe
from mer_mlflow.crossval.splits import Split
from mer_mlflow.errors import DivergenceError
from mer_mlflow.representations import Examples
from mer_mlflow.training import (
    EpochRecord,
    FittedModel,
    Illustrated,
    Illustration,
    Method,
    Predict,
    Prediction,
    Value,
)

PEAK_RESET = Path("/proc/self/clear_refs")
PEAK_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a fold; test figures are None unless they were requested.

    Attributes
    ----------
    epoch : int >= 1
    train_loss, train_accuracy : over the epoch; no accuracy where no quadrants are told
    test_loss, test_accuracy : on the test clips after it
    stage : name of the network that was trained, empty where a method trains one only
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    test_loss: float | None = None
    test_accuracy: float | None = None
    stage: str = ""


class Choice(Protocol):
    """A way to choose hyperparameters inside each training set."""

    @property
    def names(self) -> tuple[str, ...]:
        """Hyperparameters that are chosen."""

    @property
    def facts(self) -> Mapping[str, str]:
        """How they are, as text: all that the choice depends on beside the training examples."""

    def require_clips(self, method: Method, labels: NDArray[np.int64]) -> None:
        """Raise a ``MerError`` where training clips of these quadrants are too few to choose by."""

    def choose(
        self, method: Method, hyperparameters: Any, train: Examples, seed: int
    ) -> Mapping[str, Value]:
        """Choose hyperparameters for training examples."""


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """What a fold gives.

    Attributes
    ----------
    split_id : the split
    test : positions of the test clips [shape=(n_test,)]
    true : their labels [shape=(n_test,)]
    prediction : quadrants and probabilities of the test clips
    epochs : history of the training
    started : Unix time [s]
    fit_seconds, predict_seconds : wall-clock time [s]
    peak_memory : largest resident size of the process [MiB]
    n_parameters : trained weights, None where that says nothing
    chosen : hyperparameters that were chosen inside the training set
    changed : share of the test clips whose copy by a transform is put into another quadrant, by
        the transform's name
    illustration : what else there is to be seen of the trained model; where the fold was run
        before, numbers only
    arithmetic : of the process that computed it, as :func:`mer_mlflow.arithmetic.describe` gives
        it; empty where that is not known
    """

    split_id: str
    test: NDArray[np.int64]
    true: NDArray[np.int64]
    prediction: Prediction
    epochs: tuple[Epoch, ...]
    started: float
    fit_seconds: float
    predict_seconds: float
    peak_memory: float
    n_parameters: int | None
    chosen: Mapping[str, Value] = field(default_factory=dict)
    changed: Mapping[str, float] = field(default_factory=dict)
    illustration: Illustration = field(default_factory=Illustration)
    arithmetic: Facts = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Task:
    """What all folds of a cross-validation share.

    Attributes
    ----------
    method : the methodology
    hyperparameters : resolved, an instance of the method's dataclass
    examples : of all clips, and of those synthesised from them
    test_curve : whether test clips are predicted after every epoch
    choice : how each training set chooses hyperparameters, None where it does not
    probes : copies of all clips by transforms, in the clips' order; the trained model predicts
        the test clips' copies, and nothing else uses them
    """

    method: Method
    hyperparameters: Any
    examples: Examples
    test_curve: bool
    choice: Choice | None = None
    probes: Mapping[str, Examples] = field(default_factory=dict)


def run_fold(task: Task, split: Split, on_epoch: Callable[[Epoch], None]) -> FoldResult:
    """Train on a split's training clips and predict its test clips.

    Parameters
    ----------
    task : method, hyperparameters and examples
    split : which clips train and which are tested
    on_epoch : called after every epoch

    Returns
    -------
    predictions and history; the same arguments give the same predictions

    Raises
    ------
    DivergenceError
        If the training diverged.
    """
    _reset_peak_memory()
    train, test, true = _divide(task, split)
    epochs: list[Epoch] = []

    def record(trained: EpochRecord, predict: Predict | None) -> None:
        figures = _test_figures(predict(test), true) if task.test_curve and predict else {}
        epochs.append(
            Epoch(
                epoch=trained.epoch,
                train_loss=trained.loss,
                train_accuracy=trained.accuracy,
                stage=trained.stage,
                **figures,
            )
        )
        on_epoch(epochs[-1])

    started = time.time()
    clock = time.perf_counter()
    hyperparameters, chosen = task.hyperparameters, {}
    if task.choice is not None:
        chosen = dict(task.choice.choose(task.method, hyperparameters, train, split.seed))
        hyperparameters = replace(hyperparameters, **chosen)
    fitted = task.method.fit(train, hyperparameters, split.seed, record)
    fit_seconds = time.perf_counter() - clock
    result = _result(
        fitted, split, test, true, epochs=epochs, started=started, fit_seconds=fit_seconds
    )
    shown = fitted.illustrate(test) if isinstance(fitted, Illustrated) else Illustration()
    return replace(
        result,
        chosen=chosen,
        changed=_changed(fitted, task, result),
        illustration=shown,
        arithmetic=describe(task.method.framework),
    )


def _changed(fitted: FittedModel, task: Task, result: FoldResult) -> dict[str, float]:
    """How often a model changes its mind between a test clip and its copy, by transform."""
    return {
        name: float(np.mean(fitted.predict(copies).quadrants != result.prediction.quadrants))
        for name, copies in (
            (name, every.take(result.test).without_labels()) for name, every in task.probes.items()
        )
    }


def run_fold_of_settings(task: Task, split: Split, settings: Sequence[Any]) -> list[FoldResult]:
    """Run a fold of several settings whose method lets them share work.

    Parameters
    ----------
    task : method and examples; its hyperparameters are not used
    split : which clips train and which are tested
    settings : hyperparameters

    Returns
    -------
    what :func:`run_fold` gives for each setting; each took an equal share of the fit's seconds

    Raises
    ------
    ValueError
        If the method has no way to share work.
    """
    if task.method.fit_settings is None:
        raise ValueError(f"{task.method.name} cannot share work between settings")
    _reset_peak_memory()
    train, test, true = _divide(task, split)
    started = time.time()
    clock = time.perf_counter()
    fitted = task.method.fit_settings(train, settings, split.seed)
    seconds = (time.perf_counter() - clock) / len(settings)
    arithmetic = describe(task.method.framework)
    return [
        replace(
            _result(model, split, test, true, epochs=(), started=started, fit_seconds=seconds),
            arithmetic=arithmetic,
        )
        for model in fitted
    ]


def _divide(task: Task, split: Split) -> tuple[Examples, Examples, NDArray[np.int64]]:
    sources = task.examples.sources
    rows = split.rows(np.arange(len(task.examples)) if sources is None else sources)
    test = task.examples.take(rows[1])
    return task.examples.take(rows[0]), test.without_labels(), test.labels


def _result(
    fitted: FittedModel,
    split: Split,
    test: Examples,
    true: NDArray[np.int64],
    *,
    epochs: Sequence[Epoch],
    started: float,
    fit_seconds: float,
) -> FoldResult:
    clock = time.perf_counter()
    prediction = fitted.predict(test)
    if not np.isfinite(prediction.probabilities).all():
        raise DivergenceError("the trained model predicts no finite probabilities")
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=true,
        prediction=prediction,
        epochs=tuple(epochs),
        started=started,
        fit_seconds=fit_seconds,
        predict_seconds=time.perf_counter() - clock,
        peak_memory=_peak_memory(),
        n_parameters=fitted.n_parameters,
    )


def _test_figures(prediction: Prediction, true: NDArray[np.int64]) -> dict[str, float]:
    of_true = np.maximum(prediction.probabilities[np.arange(len(true)), true], 1e-12)
    return {
        "test_loss": float(-np.log(of_true).mean()),
        "test_accuracy": float(np.mean(prediction.quadrants == true)),
    }


def _reset_peak_memory() -> None:
    with contextlib.suppress(OSError):
        PEAK_RESET.write_text("5")


def _peak_memory() -> float:
    try:
        status = PEAK_STATUS.read_text()
    except OSError:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
