"""Jobs: pure functions from a method, data, a split and hyperparameters to predictions."""

from __future__ import annotations

import contextlib
import resource
import sys
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.arithmetic import NATIVE, Facts, describe
from mer_mlflow.crossval.splits import Split
from mer_mlflow.datasets.clips import QUADRANTS
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
from mer_mlflow.training.method import most_probable

PEAK_RESET = Path("/proc/self/clear_refs")
PEAK_STATUS = Path("/proc/self/status")


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """One epoch of a fold; test figures are None unless they were requested.

    Attributes
    ----------
    epoch : int >= 1
    train_loss, train_accuracy : over the epoch; no accuracy of a network that predicts no quadrants
    test_loss, test_accuracy : on the test clips after the epoch
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
        """The method of choice as text: everything but the training examples that it depends on."""

    def require_clips(self, method: Method, labels: NDArray[np.int64]) -> None:
        """Raise a ``MerError`` where training clips of these quadrants are too few to choose by."""

    def choose(
        self, method: Method, hyperparameters: Any, train: Examples, seed: int
    ) -> Mapping[str, Value]:
        """Choose hyperparameters for training examples."""


@dataclass(frozen=True, kw_only=True)
class FoldResult:
    """Predictions of one fold, and how they were computed.

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
    n_parameters : trained weights, None where it is no measure of size
    chosen : hyperparameters that were chosen inside the training set
    changed : share of the test clips whose copy by a transform is put into another quadrant, by
        the transform's name
    illustration : further figures of the trained model; numbers only where an earlier run computed
        the fold
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
    """What the jobs of a cross-validation share.

    Attributes
    ----------
    method : the methodology
    examples : of all clips, and of those synthesised from them
    test_curve : whether test clips are predicted after every epoch
    choice : how each training set chooses hyperparameters, None where it does not
    probes : copies of all clips by transforms, in the clips' order; the trained model predicts
        the test clips' copies, and nothing else uses them
    threads : int >= 1, arithmetic threads of a worker process. Sums depend on it in the last
        digits, so the same number gives the same scores however many workers there are
    arithmetic : one of :data:`mer_mlflow.arithmetic.ARITHMETICS`
    only_quadrants : whether no probabilities are needed; those of methodologies whose fits share
        work are then not calibrated
    model_folder : existing folder that the fitted model is written to, None for no model
    title : methodology and dataset, for displays
    """

    method: Method
    examples: Examples
    test_curve: bool = False
    choice: Choice | None = None
    probes: Mapping[str, Examples] = field(default_factory=dict)
    threads: int = 1
    arithmetic: str = NATIVE
    only_quadrants: bool = False
    model_folder: Path | None = None
    title: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Job:
    """One split with one set of hyperparameters.

    Attributes
    ----------
    split : which clips train and which are tested; there may be none to test
    hyperparameters : resolved, an instance of the method's dataclass
    """

    split: Split
    hyperparameters: Any


Batch = tuple[Job, ...]
"""Jobs of one split that are run together, at least one."""


def batched(method: Method, split: Split, settings: Sequence[Any]) -> list[Batch]:
    """Divide the jobs of one split into batches.

    Parameters
    ----------
    method : the methodology
    split : the split
    settings : hyperparameters of each job

    Returns
    -------
    one batch where the method's fits share work, otherwise one for each job
    """
    jobs = tuple(Job(split=split, hyperparameters=each) for each in settings)
    return [jobs] if method.shares_work else [(job,) for job in jobs]


def run_jobs(
    task: Task, batch: Batch, on_epoch: Callable[[Job, Epoch], None] = lambda job, epoch: None
) -> list[FoldResult]:
    """Train on a split's training clips and predict its test clips, once for each job.

    Parameters
    ----------
    task : method and examples
    batch : jobs of one split
    on_epoch : called after every epoch

    Returns
    -------
    predictions and history of each job; the same arguments give the same predictions. Each took an
    equal share of the seconds in which all were fitted

    Raises
    ------
    DivergenceError
        If a training diverged.

    Examples
    --------
    >>> method = get_method("svm")  # doctest: +SKIP
    >>> task = Task(method=method, examples=examples)  # doctest: +SKIP
    >>> job = Job(split=plan.splits[0], hyperparameters=method.resolve())  # doctest: +SKIP
    >>> (result,) = run_jobs(task, (job,))  # doctest: +SKIP
    """
    split = batch[0].split
    train, test, true = _divide(task.examples, split)
    history = _History(task, batch, test, true, on_epoch)
    started, clock = time.time(), time.perf_counter()
    chosen = [_chosen(task, job, train) for job in batch]
    settings = [
        replace(job.hyperparameters, **values) if values else job.hyperparameters
        for job, values in zip(batch, chosen, strict=True)
    ]
    fit_seconds, results = 0.0, []
    models = task.method.fit_many(
        train, settings, split.seed, history.record, only_quadrants=task.only_quadrants
    )
    for fitted, values in zip(models, chosen, strict=True):
        fit_seconds += time.perf_counter() - clock
        if task.model_folder is not None:
            fitted.save(task.model_folder)
        result = _result(fitted, task, split, test, true)
        results.append(replace(result, epochs=history.take(), started=started, chosen=values))
        clock = time.perf_counter()
    return [replace(each, fit_seconds=fit_seconds / len(batch)) for each in results]


class _History:
    """Collects the epochs of the jobs of a batch, which are fitted in its order."""

    def __init__(
        self,
        task: Task,
        batch: Batch,
        test: Examples,
        true: NDArray[np.int64],
        on_epoch: Callable[[Job, Epoch], None],
    ) -> None:
        self._task, self._test, self._true = task, test, true
        self._jobs = deque(batch)
        self._on_epoch = on_epoch
        self._epochs: list[Epoch] = []

    def record(self, trained: EpochRecord, predict: Predict | None) -> None:
        """Keep an epoch of the first job that has no model yet."""
        figures = {}
        if self._task.test_curve and predict:
            figures = _test_figures(predict(self._test), self._true)
        epoch = Epoch(
            epoch=trained.epoch,
            train_loss=trained.loss,
            train_accuracy=trained.accuracy,
            stage=trained.stage,
            **figures,
        )
        self._epochs.append(epoch)
        self._on_epoch(self._jobs[0], epoch)

    def take(self) -> tuple[Epoch, ...]:
        """Return the epochs of the job whose model was fitted, and go on to the next."""
        self._jobs.popleft()
        epochs, self._epochs = tuple(self._epochs), []
        return epochs


def _chosen(task: Task, job: Job, train: Examples) -> dict[str, Value]:
    if task.choice is None:
        return {}
    return dict(task.choice.choose(task.method, job.hyperparameters, train, job.split.seed))


def _divide(examples: Examples, split: Split) -> tuple[Examples, Examples, NDArray[np.int64]]:
    train, test = split.rows(examples.positions, examples.sources)
    tested = examples.take(test)
    return examples.take(train), tested.without_labels(), tested.labels


def _result(
    fitted: FittedModel, task: Task, split: Split, test: Examples, true: NDArray[np.int64]
) -> FoldResult:
    clock = time.perf_counter()
    prediction = fitted.predict(test) if len(test) else most_probable(np.empty((0, len(QUADRANTS))))
    if not np.isfinite(prediction.probabilities).all():
        raise DivergenceError("the trained model predicts no finite probabilities")
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=true,
        prediction=prediction,
        epochs=(),
        started=0.0,
        fit_seconds=0.0,
        predict_seconds=time.perf_counter() - clock,
        peak_memory=_peak_memory(),
        n_parameters=fitted.n_parameters,
        changed=_changed(fitted, task, split, prediction),
        illustration=_illustration(fitted, test),
        arithmetic=describe(task.method.framework),
    )


def _illustration(fitted: FittedModel, test: Examples) -> Illustration:
    if isinstance(fitted, Illustrated) and len(test):
        return fitted.illustrate(test)
    return Illustration()


def _changed(
    fitted: FittedModel, task: Task, split: Split, prediction: Prediction
) -> dict[str, float]:
    """Share of test clips that are put into another quadrant than their copy, by transform."""
    changed = {}
    for name, every in task.probes.items():
        copies = fitted.predict(every.take(split.test).without_labels())
        changed[name] = float(np.mean(copies.quadrants != prediction.quadrants))
    return changed


def _test_figures(prediction: Prediction, true: NDArray[np.int64]) -> dict[str, float]:
    of_true = np.maximum(prediction.probabilities[np.arange(len(true)), true], 1e-12)
    return {
        "test_loss": float(-np.log(of_true).mean()),
        "test_accuracy": float(np.mean(prediction.quadrants == true)),
    }


def reset_peak_memory() -> None:
    """Count the largest resident size of this process from now on."""
    with contextlib.suppress(OSError):
        PEAK_RESET.write_text("5")


def _peak_memory() -> float:
    try:
        status = PEAK_STATUS.read_text()
    except OSError:
        unit = 2**20 if sys.platform == "darwin" else 2**10
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
