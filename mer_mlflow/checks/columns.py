"""Checks of the columns of a feature table: indices, and leaks of the labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import lgamma, log

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.checks.check import Check, Finding
from mer_mlflow.checks.registry import run_checks
from mer_mlflow.checks.separation import SIGNIFICANCE, separates
from mer_mlflow.datasets import QUADRANTS, Clips, FeatureTable

NAMELESS = "(nameless)"
"""Label of a column without a name, in messages and in ``allow_columns``."""
ALLOW_COLUMNS = "or give allow_columns=NAME,… if they are intended"
"""Advice for columns that are correct in spite of a check."""
UNNAMED = re.compile(r"(unnamed:?[.\d]*|nan|none|null)?")
INDEX = re.compile(
    r"(level)?index\d*|level\d+|idx|#|(clip|song|track|file|row|sample)?(id|no|nr|num|number)"
    r"|id(clip|song|track)|rows?|row(index|names?)|counter"
)
LABEL = re.compile(
    r"p?quad(rant)?s?|labels?|class(es)?|targets?|arousal|valence|moods?|emotions?|ground_?truth"
    r"|(true|quadrant|class|target|mood|emotion)(code|id|index|label|no|num|number)"
)
OFF_GRID = 0.25
"""Maximum rounding error of a counter, as a share of its step."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Columns:
    """A feature table as the subject of checks.

    Attributes
    ----------
    dataset, name : names of the dataset and of the table
    table : the table
    quadrants : labels of its clips, 0 to 3 [shape=(n_clips,)]
    """

    dataset: str
    name: str
    table: FeatureTable
    quadrants: NDArray[np.int64]

    @property
    def place(self) -> str:
        """Description of its location, for messages."""
        return f"table '{self.name}' of dataset {self.dataset}"

    @cached_property
    def complete(self) -> NDArray[np.bool_]:
        """Clips without an empty cell, ignoring empty columns [shape=(n_clips,)]."""
        empty = np.isnan(self.table.values)
        return np.asarray(~empty[:, ~empty.all(axis=0)].any(axis=1))

    @cached_property
    def values(self) -> NDArray[np.float64]:
        """Cells of complete clips [shape=(n_complete, n_columns)]."""
        return np.nan_to_num(self.table.values[self.complete], nan=0.0, posinf=None, neginf=None)

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Quadrants of complete clips [shape=(n_complete,)]."""
        return self.quadrants[self.complete]

    @cached_property
    def is_constant(self) -> NDArray[np.bool_]:
        """Columns with one value [shape=(n_columns,)]."""
        return np.asarray((self.values == self.values[:1]).all(axis=0))

    @cached_property
    def is_function(self) -> NDArray[np.bool_]:
        """Columns constant within each quadrant, but not over all quadrants [shape=(n_columns,)].

        Four different values are sufficient if each quadrant has two clips. Fewer values, such as
        the sign of arousal, count only if random columns are unlikely to have this property.
        """
        found = np.zeros(len(self.table.names), dtype=bool)
        quadrants, firsts, counts = np.unique(self.labels, return_index=True, return_counts=True)
        of_quadrant = self.values[firsts]
        is_fixed = (self.values == of_quadrant[np.searchsorted(quadrants, self.labels)]).all(axis=0)
        for i in np.flatnonzero(is_fixed & ~self.is_constant):
            values, groups = np.unique(of_quadrant[:, i], return_inverse=True)
            if len(values) == len(QUADRANTS):
                found[i] = counts.min() > 1
            else:
                sizes = np.bincount(groups, weights=counts)
                ways = lgamma(len(values) + 1) + sum(lgamma(size + 1) for size in sizes)
                chance = ways - lgamma(len(self.labels) + 1)
                found[i] = chance < log(SIGNIFICANCE / len(found))
        return found


def check_columns(
    clips: Clips, tables: Iterable[str], *, allow: Sequence[str] = ()
) -> tuple[Finding, ...]:
    """Check feature tables of a dataset.

    Parameters
    ----------
    clips : clips of the dataset
    tables : names of tables; names that the dataset does not have are ignored
    allow : names of columns that are allowed in spite of checks, ignoring case

    Returns
    -------
    findings; allowed columns have separate ones
    """
    findings = [
        finding
        for name in dict.fromkeys(tables)
        if name in clips.features
        for finding in run_checks(
            Columns(
                dataset=clips.name,
                name=name,
                table=clips.features[name],
                quadrants=clips.quadrants,
            )
        )
    ]
    allowed = {column_label(name.strip()).casefold() for name in allow}
    return tuple(part for finding in findings for part in _split_allowed(finding, allowed))


def column_label(name: str) -> str:
    """Return a column's name for messages and for comma-separated lists."""
    printable = "".join(letter if letter.isprintable() else "\ufffd" for letter in name)
    if not printable:
        return NAMELESS
    return '"' + printable.replace('"', '""') + '"' if set(printable) & set(',"') else printable


def _split_allowed(finding: Finding, allowed: set[str]) -> Iterator[Finding]:
    for is_allowed in (True, False):
        names = tuple(
            name
            for name in finding.names
            if (finding.check.stops and name.casefold() in allowed) == is_allowed
        )
        if names:
            yield replace(finding, names=names, is_allowed=is_allowed)


def _named_like(pattern: re.Pattern[str]) -> Callable[[Columns], Iterator[str]]:
    def inspect(columns: Columns) -> Iterator[str]:
        for name in columns.table.names:
            visible = "".join(filter(str.isprintable, name.casefold()))
            if pattern.fullmatch(re.sub(r"[\s_\-]+", "", visible)):
                yield column_label(name)

    return inspect


def _where(flags: Callable[[Columns], NDArray[np.bool_]]) -> Callable[[Columns], Iterator[str]]:
    def inspect(columns: Columns) -> Iterator[str]:
        if len(columns.values) > 1:
            yield from (
                column_label(columns.table.names[i]) for i in np.flatnonzero(flags(columns))
            )

    return inspect


def _counts(columns: Columns) -> NDArray[np.bool_]:
    """Find columns of evenly spaced numbers, of dense integers, or sorted like the clip ids.

    A column counts only if random numbers of the same range are unlikely to have this property.
    """
    values = columns.values
    n_clips, n_columns = values.shape
    least = log(SIGNIFICANCE / n_columns)
    ordered = np.sort(values.T, axis=1)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        extents = ordered[:, -1] - ordered[:, 0]
        steps = (ordered - ordered[:, :1]) / (extents / (n_clips - 1))[:, np.newaxis]
        is_even = (np.abs(steps - np.arange(n_clips)) <= OFF_GRID).all(axis=1)
        is_whole = (ordered == np.round(ordered)).all(axis=1)
        is_different = (ordered[:, 1:] > ordered[:, :-1]).all(axis=1)
        rises = values[1:] > values[:-1]
        falls = values[1:] < values[:-1]
    found = np.asarray(rises.all(axis=0) | falls.all(axis=0))
    if log(2) - lgamma(n_clips + 1) >= least:
        found[:] = False
    for i in np.flatnonzero(is_different & (is_even | is_whole)):
        n_values = n_clips if is_even[i] else extents[i] + 1
        found[i] |= _log_chance_different(n_clips, n_values) < least
    return found


def _log_chance_different(n: int, n_values: float) -> float:
    """Return the log probability that ``n`` draws from equally likely values all differ."""
    return float(np.log1p(-np.arange(n) / n_values).sum())


def _separates(columns: Columns) -> NDArray[np.bool_]:
    return separates(columns.values, columns.labels) & ~columns.is_function


REMOVE = "remove such columns from the table's CSV"

CHECKS = (
    Check(
        code="MER001",
        sentence="has no name, as an index that was saved with the table",
        remedy=REMOVE,
        subject=Columns,
        inspect=_named_like(UNNAMED),
    ),
    Check(
        code="MER002",
        sentence="has the name of an index or of a label",
        remedy=REMOVE,
        subject=Columns,
        inspect=_named_like(re.compile(f"{INDEX.pattern}|{LABEL.pattern}")),
    ),
    Check(
        code="MER003",
        sentence="numbers the clips",
        remedy=REMOVE,
        subject=Columns,
        inspect=_where(_counts),
    ),
    Check(
        code="MER004",
        sentence="is a function of the quadrant",
        remedy=REMOVE,
        subject=Columns,
        inspect=_where(lambda columns: columns.is_function),
    ),
    Check(
        code="MER005",
        sentence="separates quadrants nearly perfectly on its own",
        remedy=REMOVE,
        subject=Columns,
        inspect=_where(_separates),
    ),
    Check(
        code="MER006",
        sentence="is not a column of the published table",
        remedy=REMOVE,
        subject=Columns,
        inspect=lambda columns: map(column_label, columns.table.unpublished),
    ),
    Check(
        code="MER007",
        sentence="is published, and missing here",
        remedy="use the table as published",
        subject=Columns,
        inspect=lambda columns: map(column_label, columns.table.missing),
    ),
    Check(
        code="MER008",
        sentence="has the same value for all clips",
        remedy="it has no effect on training",
        subject=Columns,
        inspect=_where(lambda columns: columns.is_constant),
        stops=False,
    ),
)
