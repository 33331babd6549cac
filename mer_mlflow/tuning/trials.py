"""Trials: each point of a search is a cross-validation with its own run tree."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import mlflow
import optuna

from mer_mlflow.access import pages_address, run_page
from mer_mlflow.crossval.executors import Executor, FoldEvent, FoldFinished
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.metrics import OBJECTIVE
from mer_mlflow.crossval.results import CrossValidation, fold_row
from mer_mlflow.crossval.setting import Setting, with_hyperparameters
from mer_mlflow.crossval.splits import Split
from mer_mlflow.crossval.validation import validate
from mer_mlflow.errors import IncompleteError
from mer_mlflow.representations import Examples
from mer_mlflow.tracking import RunTree, schema
from mer_mlflow.tuning.space import Point
from mer_mlflow.tuning.study import best_trial

RUN_ID, RUN_ADDRESS = "mlflow_run_id", "mlflow_run"
REUSED, SPENT = "folds_reused", "folds_run"
OTHER_SOFTWARE, OTHER_ARITHMETIC = "folds_of_other_software", "folds_of_other_arithmetic"


class PruningListener:
    """Receives a trial's events, and prunes the trial as soon as its pruner decides so.

    Folds are reported in the order in which they are started, whatever order they finish in: the
    decision does not depend on the number of workers. Without a pruner, none is reported.

    Parameters
    ----------
    runs : the trial's run tree
    trial : Optuna's trial
    split_ids : ids of the folds, in the order in which they are started
    """

    def __init__(self, runs: RunTree, trial: optuna.Trial, split_ids: Sequence[str]) -> None:
        self._runs = runs
        self._trial = trial
        is_pruned = not isinstance(trial.study.pruner, optuna.pruners.NopPruner)
        self._waiting = deque(enumerate(split_ids if is_pruned else ()))
        self._results = dict(runs.known)

    @property
    def known(self) -> Mapping[str, FoldResult]:
        """Results by split id of folds that need not run."""
        return self._runs.known

    def on_event(self, event: FoldEvent) -> None:
        """Track the event, and raise ``TrialPruned`` where the trial is to be pruned."""
        self._runs.on_event(event)
        if isinstance(event, FoldFinished):
            self._results[event.job.split.id] = event.result
            self.report()

    def report(self) -> None:
        """Report the folds that only finished folds precede."""
        while self._waiting and self._waiting[0][1] in self._results:
            step, split_id = self._waiting.popleft()
            self._trial.report(float(fold_row(self._results[split_id])[OBJECTIVE]), step)
            if self._waiting and self._trial.should_prune():
                self._runs.give_up()
                raise optuna.TrialPruned(f"given up after {step + 1} folds")


def evaluate_point(
    trial: optuna.Trial,
    point: Point,
    *,
    setting: Setting,
    examples: Examples,
    executor: Executor,
    tags: Mapping[str, str],
    source: str,
    order: Sequence[Split] | None = None,
    ready: Mapping[str, FoldResult] = MappingProxyType({}),
) -> float:
    """Cross-validate a point and track it; folds that any earlier run has done are not run again.

    Parameters
    ----------
    trial : Optuna's trial, which learns the run's id
    point : hyperparameters that are searched
    setting : of any point of the search
    examples : the setting's inputs of all clips
    executor : runs the folds
    tags : further tags of the run
    source : where the dataset was read from
    order : splits in the order in which folds are started, by default the plan's
    ready : results of folds that were run ahead, by split id

    Returns
    -------
    mean macro F1 over the folds

    Raises
    ------
    IncompleteError
        If a fold failed.
    TrialPruned
        If the study's pruner gave the point up.
    """
    setting = with_hyperparameters(setting, point)
    own = {schema.TRIAL: str(trial.number), schema.TRIAL_ONLY: "true"}
    with RunTree(setting, tags={**tags, **own}, source=source, is_main=False) as runs:
        run_id = runs.duplicate_of or runs.run_id
        trial.set_user_attr(RUN_ID, run_id)
        if (server := mlflow.get_tracking_uri()).startswith("http"):
            page = run_page(pages_address(server), runs.experiment_id, run_id)
            trial.set_user_attr(RUN_ADDRESS, page)
        trial.set_user_attr(REUSED, len(runs.known))
        trial.set_user_attr(OTHER_SOFTWARE, runs.n_of_other_software)
        trial.set_user_attr(OTHER_ARITHMETIC, runs.n_of_other_arithmetic)
        in_order = order or setting.plan.splits
        listener = PruningListener(runs, trial, [split.id for split in in_order])
        try:
            listener.report()
            validation = validate(
                setting,
                examples,
                executor=executor,
                listener=listener,
                order=in_order,
                ready=ready,
            )
        finally:
            trial.set_user_attr(SPENT, runs.n_run)
        if runs.duplicate_of is None:
            runs.conclude(validation, with_figures=_is_best_so_far(trial.study, validation))
    if not validation.is_complete:
        raise IncompleteError(validation.shortage)
    return validation.summary[OBJECTIVE].mean


def _is_best_so_far(study: optuna.Study, validation: CrossValidation) -> bool:
    """Whether the run may be the search's winner; figures of others are drawn by ``train``."""
    if not validation.is_complete:
        return False
    best = best_trial(study)
    return best is None or validation.summary[OBJECTIVE].mean >= float(best.value or 0.0)
