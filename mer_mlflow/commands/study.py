"""study: run all searches and trainings of a plan, each in a separate process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from mer_mlflow.access import LEADERBOARD
from mer_mlflow.arithmetic import NATIVE, require
from mer_mlflow.commands.command import INCOMPLETE, INTERRUPTED, OK, print_where
from mer_mlflow.commands.parameters import STUDY
from mer_mlflow.commands.search import STORAGE_VARIABLE, storage_url
from mer_mlflow.crossval.executors import (
    INLINE,
    PROCESSES,
    resolve_executor,
    resolve_workers,
)
from mer_mlflow.datasets import get_dataset, load_dataset
from mer_mlflow.errors import MerError, ParameterError
from mer_mlflow.experiments.text import parse
from mer_mlflow.studies.estimates import clock, seconds_left
from mer_mlflow.studies.items import Item, ItemState, ItemStatus
from mer_mlflow.studies.plan import Plan
from mer_mlflow.studies.process import Outcome, run_process
from mer_mlflow.studies.reading import read_plan
from mer_mlflow.studies.roots import chosen_datasets, locate, parse_data_roots
from mer_mlflow.terminal import cell, console

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from mer_mlflow.studies.board import Board, Data
    from mer_mlflow.studies.record import Record

DAY = 24 * 3600.0
PARALLEL = 4
"""Items that run at once on a cluster: each has times in which it uses few workers."""
PRINTED_WIDTH = 150
"""Characters of a line if the output is not a terminal."""


def study(
    *,
    plan: str = "quick",
    data_root: str | None = None,
    dry_run: bool = False,
    storage: str | None = None,
    parallel: int | None = None,
    **execution: Any,
) -> int:
    """Run a study; results that exist in its experiment are not computed again.

    Parameters
    ----------
    plan : ``quick``, ``paper``, or the path of a YAML file
    data_root : folder of the datasets, or ``"original-4qaed=/a;new-4qaed-c=/b"``
    dry_run : whether to print the plan only
    storage : database URL of the searches, by default ``MER_OPTUNA_STORAGE``
    parallel : items that run at once on a cluster, by default 4; one on this machine
    execution : parameters of all experiments that override the plan, such as ``workers``

    Returns
    -------
    exit code: 0, or 3 if an item failed

    Raises
    ------
    MerError
        If a parameter or the plan cannot be used.
    """
    require(execution.get("arithmetic") or NATIVE)
    n_workers = resolve_workers(execution.get("workers"))
    at_once = _resolve_parallel(parallel, execution.get("executor"))
    planned, roots = _resolved(read_plan(plan), data_root)
    title = f" – {planned.title}" if planned.title != planned.name else ""
    print(f"study: {planned.name}{title}", flush=True)
    if planned.searches:
        from mer_mlflow.tuning.study import check_storage

        check_storage(storage_url(storage))
    client, experiment = _experiment(may_create=not dry_run)
    from mer_mlflow.studies.board import Board
    from mer_mlflow.tracking import describe_abandoned

    data = {name: _load(name, roots[name]) for name in planned.datasets}
    board = Board(
        planned,
        data,
        client=client,
        experiment=experiment,
        execution=execution,
        storage=storage,
    )
    _print_board(board, n_workers)
    if client is not None:
        for message in describe_abandoned(client, experiment):
            print(f"warning: {message}", flush=True)
    if dry_run or client is None:
        return OK
    from mer_mlflow.studies.record import Record

    record = Record(client, planned)
    try:
        _Items(board, record, parallel=at_once).run()
    except BaseException:
        record.close(is_complete=False)
        raise
    failed = {
        item: state
        for item, state in board.states.items()
        if state.status in (ItemStatus.FAILED, ItemStatus.INTERRUPTED)
    }
    record.close(is_complete=not failed)
    _print_outcome(board, failed)
    print_where(record.run_id, record.experiment_id, view=LEADERBOARD)
    return INCOMPLETE if failed else OK


def _resolve_parallel(parallel: int | None, executor: str | None) -> int:
    is_cluster = resolve_executor(executor) not in (PROCESSES, INLINE)
    if parallel is not None and parallel > 1 and not is_cluster:
        raise ParameterError(
            f"parallel={parallel}: only the items of a cluster run at once, because one uses all "
            "cores of this machine; give executor=dask://host:port"
        )
    return parallel or (PARALLEL if is_cluster else 1)


def _resolved(planned: Plan, data_root: str | None) -> tuple[Plan, dict[str, str | None]]:
    """Return the plan with resolved datasets, and the folder of each dataset."""
    given = parse_data_roots(data_root)
    datasets = planned.datasets or chosen_datasets(given, planned.data_roots)
    unplanned = sorted(set(given.own) - set(datasets))
    if unplanned:
        raise ParameterError(
            f"data_root: {unplanned[0]} is not a dataset of plan {planned.name} "
            f"({', '.join(datasets)})"
        )
    roots = locate(datasets, given=given, planned=planned.data_roots)
    known = {name: root for name, root in roots.items() if root is not None}
    return replace(planned, datasets=datasets, data_roots=known), roots


def _load(name: str, root: str | None) -> Data:
    from mer_mlflow.studies.board import Data

    if root is None and get_dataset(name).needs_root:
        message = f"give data_root={name}=FOLDER, or a data_root that contains a folder {name}"
        return Data(reason=message)
    try:
        clips = load_dataset(
            name, root, on_warning=lambda message: print(f"warning: {name}: {message}", flush=True)
        )
    except MerError as error:
        return Data(root=root, reason=str(error))
    print(f"dataset: {name}, {len(clips)} clips{f' ({root})' if root else ''}", flush=True)
    return Data(root=root, clips=clips)


def _experiment(*, may_create: bool) -> tuple[MlflowClient | None, str]:
    """Return client and experiment of this study; no client if the store does not exist."""
    import mlflow
    from mlflow import MlflowClient

    from mer_mlflow.tracking import check_store, current_experiment, is_untouched

    if not may_create and is_untouched(mlflow.get_tracking_uri()):
        return None, ""
    check_store()
    client = MlflowClient()
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME")
    has_run = bool(os.environ.get("MLFLOW_RUN_ID"))
    if not may_create and name and not has_run and client.get_experiment_by_name(name) is None:
        return None, ""
    return client, current_experiment(client)


class _Items:
    """Runs the items of a study, several at once where they do not need each other.

    Parameters
    ----------
    board, record : of the study
    parallel : int >= 1, most items at once
    """

    def __init__(self, board: Board, record: Record, *, parallel: int) -> None:
        self._board, self._record, self._parallel = board, record, parallel
        self._pending = list(board.to_do)
        self._running: dict[Future[Outcome], tuple[Item, float, float]] = {}
        self._finished: list[tuple[float, float]] = []
        self._stopped = threading.Event()
        self._pool = ThreadPoolExecutor(parallel) if parallel > 1 else None

    def run(self) -> None:
        """Run all items; an interruption stops those that are running."""
        self._record.keep(self._board.states)
        if not self._pending:
            print("study: nothing is left to do", flush=True)
        try:
            while self._pending or self._running:
                self._start()
                for future in wait(self._running, return_when=FIRST_COMPLETED).done:
                    self._settle(*self._running.pop(future)[:2], future.result())
        except BaseException:
            self._stopped.set()
            self._close()
            self._record.keep(self._board.states)
            raise
        self._close()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()

    def _start(self) -> None:
        while len(self._running) < self._parallel and (item := self._next()) is not None:
            self._pending.remove(item)
            planned_item = self._board.refresh(item)
            if planned_item.arguments is None or planned_item.estimate is None:
                self._report()
                continue
            self._board.set_state(item, ItemState(status=ItemStatus.INTERRUPTED))
            future = self._submitted(item, planned_item.arguments)
            self._running[future] = (item, planned_item.estimate.seconds, time.monotonic())

    def _next(self) -> Item | None:
        """Return the first item that needs none of those which are not settled."""
        unsettled = {*self._pending, *(item for item, _, _ in self._running.values())}
        ready = (item for item in self._pending if not self._board.needed(item) & unsettled)
        return next(ready, None)

    def _submitted(self, item: Item, arguments: Mapping[str, str]) -> Future[Outcome]:
        run = partial(_run, item, arguments, self._record.experiment_id, self._stopped)
        if self._pool is not None:
            return self._pool.submit(run)
        future: Future[Outcome] = Future()
        future.set_result(run())
        return future

    def _settle(self, item: Item, estimate: float, outcome: Outcome) -> None:
        state = _state_after(self._board, item, outcome)
        self._board.set_state(item, state)
        if state.status == ItemStatus.DONE:
            self._finished.append((estimate, outcome.seconds))
        else:
            print(f"study: {item} {state.status}: {state.reason}", flush=True)
        self._report()

    def _report(self) -> None:
        self._record.keep(self._board.states)
        now = time.monotonic()
        estimates = [self._board.planned_items[item].estimate for item in self._pending]
        waiting = [seen.seconds for seen in estimates if seen is not None]
        waiting += [max(0.0, left - (now - start)) for _, left, start in self._running.values()]
        left = seconds_left(waiting, self._finished) / self._parallel
        n_items = len(self._board.states)
        n_settled = n_items - len(self._pending) - len(self._running)
        print(f"study: {n_settled}/{n_items} items, {clock(left)} left", flush=True)


def _run(
    item: Item, arguments: Mapping[str, str], experiment_id: str, stopped: threading.Event
) -> Outcome:
    command = [sys.executable, "-m", "mer_mlflow", item.action]
    given = dict(arguments)
    storage = given.pop("storage", None)  # passwords in command lines are visible to all users
    command += [f"--{name}={value}" for name, value in given.items()]
    root = str(Path(__file__).parents[2])
    search_path = os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]).strip(os.pathsep)
    own = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_NAME")
    environment = {key: value for key, value in os.environ.items() if key not in own}
    environment |= {"MLFLOW_EXPERIMENT_ID": experiment_id, "PYTHONPATH": search_path}
    environment |= {STORAGE_VARIABLE: storage} if storage else {}
    print(f"study: {item}", flush=True)
    return run_process(command, prefix=f"  {item} | ", environment=environment, stopped=stopped)


def _state_after(board: Board, item: Item, outcome: Outcome) -> ItemState:
    """Return the state of an item after its process, according to its run."""
    state = board.refresh(item).state
    if state.status == ItemStatus.DONE:
        return replace(state, seconds=outcome.seconds)
    stopped = outcome.code in (INTERRUPTED, -signal.SIGTERM)
    return ItemState(
        status=ItemStatus.INTERRUPTED if stopped else ItemStatus.FAILED,
        reason=outcome.reason or "its process left no complete run",
        seconds=outcome.seconds,
    )


def _print_board(board: Board, n_workers: int) -> None:
    table = Table(title="The plan", title_justify="left")
    for column in ("item", "dataset", "action"):
        table.add_column(column)
    for column in ("folds", "estimate"):
        table.add_column(column, justify="right")
    for column in ("from", "state"):
        table.add_column(column)
    for item, planned_item in board.planned_items.items():
        state = planned_item.state
        message = " ".join(filter(None, (state.status, state.run_id[:8])))
        if state.status == ItemStatus.TO_DO and state.reason:
            message = f"to do {state.reason}"
        time = planned_item.estimate
        timing = ("–", "") if time is None else (str(time), time.source)
        row = (item.method, item.dataset, item.action, planned_item.folds or "–", *timing, message)
        table.add_row(*map(cell, row))
    console(width=PRINTED_WIDTH).print(table)
    for message in _notes(board):
        print(message)
    waiting = [board.planned_items[item].estimate for item in board.to_do]
    known = [seen for seen in waiting if seen is not None]
    at_most = "at most " if any(seen.is_bound for seen in known) else "about "
    seconds = sum(seen.seconds for seen in known)
    days = f" ({seconds / DAY:.0f} days)" if seconds > 2 * DAY else ""
    print(f"to do: {len(board.to_do)} of {len(board.states)} items, ", end="")
    print(f"{at_most}{clock(seconds)}{days} with workers={n_workers}", flush=True)


def _notes(board: Board) -> list[str]:
    """Return the reasons of items that are not run, one line each."""
    items: dict[tuple[str, str], list[str]] = {}
    for item, state in board.states.items():
        if state.reason and state.status != ItemStatus.TO_DO:
            items.setdefault((state.status, state.reason), []).append(str(item))
    return [f"{status}: {_listed(names)}: {reason}" for (status, reason), names in items.items()]


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)} items)"


def _print_outcome(board: Board, failed: Mapping[Item, ItemState]) -> None:
    counts = Counter(state.status for state in board.states.values())
    print("study: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    for message in _notes(board):
        print(f"  {message}", file=sys.stderr if message.startswith("failed") else sys.stdout)
    if failed:
        print("give the same command again to retry failed items; finished ones are kept")


def main(arguments: Sequence[str]) -> int:
    """Run ``study``."""
    return study(**parse(STUDY, arguments))
