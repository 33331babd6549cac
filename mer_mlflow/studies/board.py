"""Board of a study: state, estimated time and command of each item."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Run

from mer_mlflow.crossval.executors import resolve_workers
from mer_mlflow.crossval.setting import Setting
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import DatasetError, MerError, RunDataError, WeightsError
from mer_mlflow.experiments import BEST_OF, resolve, resolve_search
from mer_mlflow.methods import get_method
from mer_mlflow.representations import open_store
from mer_mlflow.studies.estimates import (
    Estimate,
    declared_cost,
    estimate,
    load_of,
    n_points,
    preparation_seconds,
)
from mer_mlflow.studies.evidence import Evidence, collect, f1_of, finished_folds
from mer_mlflow.studies.items import (
    Action,
    Item,
    ItemState,
    ItemStatus,
    gate_verdict,
    plan_items,
    search_item,
)
from mer_mlflow.studies.plan import Given, Plan, SearchPlan
from mer_mlflow.tracking import schema
from mer_mlflow.training import Value


@dataclass(frozen=True, kw_only=True)
class Data:
    """A dataset of a study.

    Attributes
    ----------
    root : folder of its files, None if it needs none or there is none
    clips : its clips, None if it could not be read
    reason : reason of the failure, one line
    """

    root: str | None = None
    clips: Clips | None = None
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class PlannedItem:
    """An item with its state.

    Attributes
    ----------
    state : state of the item
    folds : folds of its cross-validations, such as ``10 x 10``; empty if it is not to be run
    estimate : estimated time, None if it is not to be run
    arguments : parameters of its command; None if it is not to be run, or not yet
    run : run with its result
    """

    state: ItemState
    folds: str = ""
    estimate: Estimate | None = None
    arguments: Mapping[str, str] | None = None
    run: Run | None = None


@dataclass(frozen=True, kw_only=True)
class _Winner:
    """Content of ``best.json`` of a search; None if the search is not finished."""

    best: Mapping[str, Any] | None = None

    @property
    def study(self) -> str:
        return "" if self.best is None else str(self.best["study"])

    @property
    def hyperparameters(self) -> Mapping[str, Value] | None:
        return None if self.best is None else self.best["hyperparameters"]


class Board:
    """All items of a study.

    Parameters
    ----------
    plan : plan of the study
    data : datasets by name
    client : client of the tracking server, None if the store does not exist yet
    experiment : id of the study's experiment
    execution : parameters of all experiments by name, which override the plan
    storage : database URL of the searches, None for the default
    """

    def __init__(
        self,
        plan: Plan,
        data: Mapping[str, Data],
        *,
        client: MlflowClient | None,
        experiment: str,
        execution: Given,
        storage: str | None,
    ) -> None:
        self.planned_items: dict[Item, PlannedItem] = {}
        self._plan = plan
        self._data = data
        self._client = client
        self._experiment = experiment
        self._execution = {k: value for k, value in execution.items() if value is not None}
        self._n_workers = resolve_workers(execution.get("workers"))
        self._storage = storage
        self._methods = {method.name: get_method(method.name) for method in plan.methods}
        self._warnings: set[str] = set()
        self._evidence = self._collected()
        for item in plan_items(plan):
            self.planned_items[item] = self._inspect(item)

    @property
    def states(self) -> dict[Item, ItemState]:
        """State of each item."""
        return {item: planned_item.state for item, planned_item in self.planned_items.items()}

    @property
    def to_do(self) -> list[Item]:
        """Items that are not finished or not decided yet."""
        states = self.states
        return [item for item in states if states[item].status == ItemStatus.TO_DO]

    def refresh(self, item: Item) -> PlannedItem:
        """Update the state of an item from current runs, and return it."""
        self._evidence = self._collected()
        self.planned_items[item] = self._inspect(item)
        return self.planned_items[item]

    def needed(self, item: Item) -> set[Item]:
        """Return the items that must be settled before an item can be run."""
        search, gate, first = self._needed(item), self._plan.gate, self._plan.first_dataset
        found = set() if search is None else {search}
        if gate is not None and item.dataset != first and gate.holds(item.method):
            for name in (item.method, gate.baseline):
                found.add(Item(action=Action.TRAIN, method=name, dataset=first))
        return found

    def set_state(self, item: Item, state: ItemState) -> None:
        """Set the state of an item."""
        self.planned_items[item] = replace(self.planned_items[item], state=state)

    def _collected(self) -> Evidence:
        if self._client is None:
            return Evidence()
        return collect(self._client, self._experiment, self._methods, on_warning=self._warn_once)

    def _warn_once(self, message: str) -> None:
        if message not in self._warnings:
            self._warnings.add(message)
            print(f"warning: {message}", flush=True)

    def _inspect(self, item: Item) -> PlannedItem:
        data = self._data[item.dataset]
        if data.clips is None:
            return _not_run(ItemStatus.NO_DATA, data.reason)
        winner = self._winner(item)
        if isinstance(winner, ItemState):
            return PlannedItem(state=winner)
        try:
            if item.action == Action.SEARCH:
                planned_item = self._search(item, data, winner)
            else:
                planned_item = self._training(item, data, winner)
        except WeightsError as error:
            return _not_run(ItemStatus.NEEDS_WEIGHTS, str(error))
        except MerError as error:
            return _not_run(ItemStatus.CANNOT_RUN, str(error))
        if planned_item.state.status != ItemStatus.TO_DO:
            return planned_item
        gate = self._gate(item)
        if gate is not None and gate.status == ItemStatus.TO_DO:
            return replace(planned_item, state=gate, arguments=None)
        return planned_item if gate is None else PlannedItem(state=gate)

    def _gate(self, item: Item) -> ItemState | None:
        """Return the state of an item because of the gate; None if the gate lets it run."""
        gate, first = self._plan.gate, self._plan.first_dataset
        if gate is None or item.dataset == first or not gate.holds(item.method):
            return None
        compared = {
            name: self.planned_items[Item(action=Action.TRAIN, method=name, dataset=first)]
            for name in (item.method, gate.baseline)
        }
        if any(seen.state.status == ItemStatus.TO_DO for seen in compared.values()):
            reason = f"if its F1 is not below {gate.baseline}'s"
            return ItemState(status=ItemStatus.TO_DO, reason=reason)
        scores = {
            name: None if seen.run is None else f1_of(seen.run) for name, seen in compared.items()
        }
        verdict = gate_verdict(
            dataset=first,
            method=item.method,
            f1=scores[item.method],
            baseline=gate.baseline,
            baseline_f1=scores[gate.baseline],
        )
        return ItemState(status=ItemStatus.NOT_CONDUCTED, reason=verdict) if verdict else None

    def _winner(self, item: Item) -> _Winner | ItemState | None:
        """Return the best setting of the search that an item needs; None if it needs none."""
        needed = self._needed(item)
        if needed is None:
            return None
        state = self.planned_items[needed].state
        if state.status == ItemStatus.TO_DO:
            return _Winner()
        run = self.planned_items[needed].run
        if run is None:
            reason = f"no winner: {needed} is {state.status}"
            if state.status in (ItemStatus.FAILED, ItemStatus.INTERRUPTED):
                reason = f"no winner: {needed} {state.status}"
            return ItemState(status=ItemStatus.NOT_CONDUCTED, reason=reason)
        from mer_mlflow.tuning.record import read_winner

        try:
            return _Winner(best=read_winner(run))
        except RunDataError as error:
            return ItemState(status=ItemStatus.CANNOT_RUN, reason=str(error))

    def _needed(self, item: Item) -> Item | None:
        if item.action == Action.TRAIN:
            return search_item(self._plan, item)
        start = self._requested(item).start
        return None if start is None else search_item(self._plan, replace(item, method=start))

    def _requested(self, item: Item) -> SearchPlan:
        requested = self._plan.search(item.method)
        assert requested is not None
        return requested

    def _search(self, item: Item, data: Data, winner: _Winner | None) -> PlannedItem:
        assert data.clips is not None
        requested = self._requested(item)
        values = None if winner is None else winner.hyperparameters
        wanted = self._plan.tuning(
            requested,
            item.dataset,
            winner=values,
            storage=self._storage,
            data_root=data.root,
            **self._execution,
        )
        resolved = resolve_search(wanted, data.clips)
        lacking = _lacking(resolved.setting)
        if lacking:
            return _not_run(ItemStatus.NO_DATA, lacking)
        run = self._evidence.searched.get(resolved.search.name)
        n_tried = n_points(wanted.strategy, resolved.search.space, wanted.trials)
        planned_item = self._planned_item(resolved.setting, run, n_tried=n_tried)
        if run is not None:
            return planned_item
        if winner is not None and values is None:
            reason = f"after search {requested.start}"
            state = ItemState(status=ItemStatus.TO_DO, reason=reason)
            return replace(planned_item, state=state)
        return replace(planned_item, arguments=wanted.arguments())

    def _training(self, item: Item, data: Data, winner: _Winner | None) -> PlannedItem:
        assert data.clips is not None
        experiment = self._plan.experiment(
            item.method, item.dataset, data_root=data.root, **self._execution
        )
        best = None
        if winner is not None and winner.hyperparameters is not None:
            experiment = replace(experiment, hyperparameters=f"{BEST_OF}{winner.study}")
            best = winner.best
        setting = resolve(experiment, data.clips, winner=best).setting
        lacking = _lacking(setting)
        if lacking:
            return _not_run(ItemStatus.NO_DATA, lacking)
        if winner is not None and best is None:
            reason = "after its search"
            planned_item = self._planned_item(setting, None)
            return replace(planned_item, state=ItemState(status=ItemStatus.TO_DO, reason=reason))
        planned_item = self._planned_item(setting, self._evidence.training(setting))
        if planned_item.run is not None:
            return planned_item
        return replace(planned_item, arguments=experiment.arguments())

    def _planned_item(self, setting: Setting, run: Run | None, *, n_tried: int = 1) -> PlannedItem:
        plan = setting.plan
        folds = f"{plan.n_repeats} x {plan.n_splits}"
        if n_tried > 1:
            folds = f"{n_tried} x {folds}"
        if run is not None:
            return PlannedItem(state=_done(run), folds=folds, run=run)
        n_folds, reason = len(plan.splits), ""
        if self._client is not None and n_tried == 1:
            n_done = finished_folds(self._client, self._experiment, setting)
            reason = f"but for {n_done} of {n_folds} folds" if n_done else ""
            n_folds -= n_done
        cost = self._evidence.costs.get(setting.method.name)
        return PlannedItem(
            state=ItemState(status=ItemStatus.TO_DO, reason=reason),
            folds=folds,
            estimate=estimate(
                load_of(setting),
                cost or declared_cost(setting.method),
                n_folds=n_folds,
                n_points=n_tried,
                n_workers=self._n_workers,
                preparation=self._preparation(setting),
            ),
        )

    def _preparation(self, setting: Setting) -> float:
        store = open_store(arithmetic=setting.arithmetic)
        return preparation_seconds(setting, store)


def _not_run(status: ItemStatus, reason: str) -> PlannedItem:
    return PlannedItem(state=ItemState(status=status, reason=" ".join(reason.split())))


def _done(run: Run) -> ItemState:
    seconds = (run.info.end_time - run.info.start_time) / 1000 if run.info.end_time else None
    reason = "folds of different arithmetic, see the report" * (
        schema.MIXED_ARITHMETIC in run.data.tags
    )
    return ItemState(status=ItemStatus.DONE, run_id=run.info.run_id, seconds=seconds, reason=reason)


def _lacking(setting: Setting) -> str:
    """Describe the inputs of a methodology that are missing in a dataset, without computation."""
    try:
        for item in setting.inputs:
            if item.table is not None:
                setting.clips.feature_values(item.table)
            else:
                setting.clips.audio_files()
    except DatasetError as error:
        return str(error)
    return ""
