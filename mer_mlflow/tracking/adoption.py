"""Adoption of folds that earlier runs of the same setting have finished.

A fold is adopted only if its run is complete and consistent with the clips and the split: its
predictions are read and checked. A fold that cannot be read is run again.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from requests.exceptions import ContentDecodingError

from mer_mlflow.arithmetic import compared, describe_worker, difference, read_facts
from mer_mlflow.crossval.executors import worker_environment
from mer_mlflow.crossval.jobs import FoldResult
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.crossval.splits import Split
from mer_mlflow.errors import ParameterError, RunDataError, RunInProgressError
from mer_mlflow.terminal import printable
from mer_mlflow.tracking import schema
from mer_mlflow.tracking.environment import describe_process, is_alive, started_at
from mer_mlflow.tracking.items import check_fold, read_chosen, read_fold
from mer_mlflow.tracking.outage import reason, retry
from mer_mlflow.tracking.readback import artifact_sizes
from mer_mlflow.tracking.reading import fold_metrics, read_text
from mer_mlflow.tracking.runs import Kind, Status, search

UNREADABLE = (
    MlflowException,
    OSError,
    KeyError,
    ValueError,
    TypeError,
    OverflowError,
    csv.Error,
    ParameterError,
    RunDataError,
)
"""Exceptions of reading a fold whose run is damaged, or whose files are missing."""


@dataclass(frozen=True, kw_only=True)
class AdoptedFold:
    """A finished fold of an earlier run.

    Attributes
    ----------
    run : its run
    split : its split
    result : its result, read from the run
    """

    run: Run
    split: Split
    result: FoldResult


@dataclass(frozen=True, kw_only=True)
class EarlierRuns:
    """Earlier runs of a setting.

    Attributes
    ----------
    parents : parent runs by id, without those that a process is executing
    folds : their finished folds, at most one for each split
    """

    parents: Mapping[str, Run]
    folds: Sequence[AdoptedFold]

    @property
    def complete(self) -> set[str]:
        """Ids of complete parents."""
        return {key for key, run in self.parents.items() if _status(run) == Status.COMPLETE}

    @property
    def unfinished(self) -> list[Run]:
        """Parents that are to be continued by another parent."""
        ended = {Status.COMPLETE, Status.DUPLICATE}
        return [run for run in self.parents.values() if _status(run) not in ended]

    def duplicate_of(self, setting: Setting) -> str | None:
        """Return the id of a complete parent with the same folds, None if there is none."""
        n_folds = len(setting.plan.splits)
        if len(self.folds) < n_folds:
            return None
        of_size = (
            key
            for key, run in self.parents.items()
            if _status(run) == Status.COMPLETE
            and run.data.tags.get(schema.FOLDS_EXPECTED) == str(n_folds)
        )
        return next(of_size, None)


def find_earlier(
    client: MlflowClient,
    settings: Sequence[Setting],
    *,
    experiment_id: str,
    run_id: str,
    process: Mapping[str, str],
) -> EarlierRuns:
    """Find earlier parents of a setting that are not running, and their finished folds.

    Parameters
    ----------
    client : client of the tracking server
    settings : the setting, and the same with the ids of earlier versions
    experiment_id : id of the experiment
    run_id : id of this run, which is excluded
    process : tags of this process

    Raises
    ------
    RunInProgressError
        If an older process is executing the same cross-validation.
    """
    parents = {
        run.info.run_id: run
        for setting in settings
        for run in search(client, experiment_id, kind=Kind.PARENT, identity=setting.identity)
        if run.info.run_id != run_id
    }
    running = {key for key, run in parents.items() if _is_running(run)}
    _refuse_running([parents[key] for key in running], mine=(started_at(process), run_id))
    children = (
        (setting, child)
        for setting in settings
        for child in search(client, experiment_id, kind=Kind.FOLD, identity=setting.identity)
    )
    return EarlierRuns(
        parents={key: run for key, run in parents.items() if key not in running},
        folds=list(_finished_folds(client, children, running=running)),
    )


def compare_arithmetic(setting: Setting, results: Sequence[FoldResult]) -> tuple[int, str]:
    """Compare the arithmetic of folds with that of workers of this process.

    Parameters
    ----------
    setting : setting of the folds
    results : results of the folds

    Returns
    -------
    number of folds with different arithmetic, and a description of the differences
    """
    if not results:
        return 0, ""
    variables = worker_environment(setting.threads, setting.arithmetic)
    here = describe_worker(setting.method.framework, tuple(sorted(variables.items())))
    others = [each for each in results if compared(each.arithmetic) != compared(here)]
    differences = dict.fromkeys(difference(each.arithmetic, here) for each in others)
    return len(others), "; ".join(differences)


def _finished_folds(
    client: MlflowClient, children: Iterable[tuple[Setting, Run]], *, running: Set[str]
) -> Iterator[AdoptedFold]:
    """Yield one finished fold of each split; running folds of ended processes are closed."""
    found: set[str] = set()
    for setting, child in children:
        split_id = child.data.tags.get(schema.SPLIT, "")
        split = next((each for each in setting.plan.splits if each.id == split_id), None)
        if child.data.tags.get(MLFLOW_PARENT_RUN_ID) in running:
            continue
        if child.info.status == "RUNNING":
            client.set_terminated(child.info.run_id, "KILLED")
        elif child.info.status == "FINISHED" and split is not None and split_id not in found:
            result = _read(client, child, split, setting)
            if result is not None:
                found.add(split_id)
                yield AdoptedFold(run=child, split=split, result=result)


def _refuse_running(running: Iterable[Run], *, mine: tuple[float, str]) -> None:
    for run in running:
        tags = run.data.tags
        if (started_at(tags), run.info.run_id) < mine:
            raise RunInProgressError(
                f"run {run.info.run_id} is executing the same cross-validation "
                f"({describe_process(tags)}); wait for it, or stop it and try again"
            )


def _read(client: MlflowClient, child: Run, split: Split, setting: Setting) -> FoldResult | None:
    """Read a fold's result; None, with a warning, if its run has no valid one."""
    try:
        sizes = retry(lambda: artifact_sizes(client, child))
        return retry(lambda: _read_artifacts(child, split, setting, sizes))
    except UNREADABLE as error:
        message = f"fold {split.id} of run {child.info.run_id} is run again: {reason(error)}"
        print(f"warning: {printable(message)}", flush=True)
        return None


def _read_artifacts(
    child: Run, split: Split, setting: Setting, sizes: Mapping[str, int | None]
) -> FoldResult:
    metrics, artifacts = fold_metrics(child.data.metrics), str(child.info.artifact_uri)

    def content(name: str) -> str:
        if name not in sizes:
            raise ValueError(f"it has no artifact {name}")
        found = read_text(artifacts, name)
        size = len(found.encode())
        if sizes[name] not in (None, size):
            raise ContentDecodingError(f"{name}: received {size} of {sizes[name]} bytes")
        return found

    result = read_fold(
        split_id=split.id,
        clips=setting.clips,
        predictions=content(schema.PREDICTIONS),
        epochs=content(schema.EPOCHS) if metrics["n_epochs"] else None,
        metrics=metrics,
        started=child.info.start_time / 1000,
        chosen=read_chosen(setting, child.data.params),
        arithmetic=read_facts(child.data.tags.get(schema.ARITHMETIC)),
    )
    check_fold(result, split=split, clips=setting.clips, params=child.data.params)
    return result


def _is_running(run: Run) -> bool:
    return _status(run) == Status.RUNNING and is_alive(run.data.tags)


def _status(run: Run) -> str:
    return str(run.data.tags.get(schema.STATUS, ""))
