"""Items of a study: the searches and trainings of a plan, with their states."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from mer_mlflow.spreadsheet import escaped
from mer_mlflow.studies.plan import Plan

COLUMNS = ("method", "dataset", "action", "status", "reason", "run_id", "seconds")


class Action(StrEnum):
    """Kind of an item."""

    SEARCH = "search"
    TRAIN = "train"


class ItemStatus(StrEnum):
    """Status of an item.

    ``not conducted`` items are excluded by rules of the plan. ``no data``, ``needs weights`` and
    ``cannot run`` are missing requirements, detected before the item was started.
    """

    TO_DO = "to do"
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    NOT_CONDUCTED = "not conducted"
    NO_DATA = "no data"
    NEEDS_WEIGHTS = "needs weights"
    CANNOT_RUN = "cannot run"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One command of a study: a search or a training."""

    action: Action
    method: str
    dataset: str

    def __str__(self) -> str:
        search = "search " if self.action == Action.SEARCH else ""
        return f"{search}{self.method} {self.dataset}"


@dataclass(frozen=True, kw_only=True)
class ItemState:
    """State of an item.

    Attributes
    ----------
    status : status of the item
    reason : one line, may be empty
    run_id : id of the run with its result, empty if there is none
    seconds : duration of its run, None if there is none
    """

    status: ItemStatus
    reason: str = ""
    run_id: str = ""
    seconds: float | None = None


def plan_items(plan: Plan) -> tuple[Item, ...]:
    """Return the items of a plan in the order of execution: by dataset, searches first."""
    items: list[Item] = []
    for dataset in plan.datasets:
        items += [
            Item(action=Action.SEARCH, method=search.method, dataset=dataset)
            for search in plan.searches
            if dataset == plan.first_dataset or search.per_dataset
        ]
        items += [
            Item(action=Action.TRAIN, method=method.name, dataset=dataset)
            for method in plan.methods
        ]
    return tuple(items)


def search_item(plan: Plan, item: Item) -> Item | None:
    """Return the search whose best setting an item trains, None if there is no search."""
    search = plan.search(item.method)
    if search is None:
        return None
    dataset = item.dataset if search.per_dataset else plan.first_dataset
    return Item(action=Action.SEARCH, method=item.method, dataset=dataset)


def gate_verdict(
    *, dataset: str, f1: float | None, baseline: str, method: str, baseline_f1: float | None
) -> str:
    """Return why a methodology does not run on further datasets, empty if it does.

    Parameters
    ----------
    dataset : dataset of the comparison
    f1 : macro F1 of the methodology, 0 to 1, None if it has no result
    baseline, method : their names
    baseline_f1 : macro F1 of the baseline
    """
    for name, score in ((baseline, baseline_f1), (method, f1)):
        if score is None:
            return f"no result of {name} on {dataset} to compare with"
    assert f1 is not None and baseline_f1 is not None
    if f1 >= baseline_f1:
        return ""
    mine, theirs = next(
        pair
        for digits in (1, 2, 15)
        if len(set(pair := tuple(f"{100 * score:.{digits}f}" for score in (f1, baseline_f1)))) > 1
    )
    return f"F1 {mine} on {dataset} is below {baseline}'s {theirs}"


def items_csv(states: Mapping[Item, ItemState]) -> bytes:
    """Return the table of all items, the content of ``items.csv``."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for item, state in states.items():
        seconds = "" if state.seconds is None else f"{state.seconds:.1f}"
        row = (state.status, state.reason, state.run_id, seconds)
        cells = (item.method, item.dataset, item.action, *row)
        table.writerow([escaped(cell) for cell in cells])
    return text.getvalue().encode()
