"""Data of the report that sections share, and common formats of cells."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pandas as pd

from mer_mlflow.access import run_page
from mer_mlflow.reporting.descriptions import NOTHING, ClipDescriptions, Description
from mer_mlflow.reporting.document import Cell, Column, Table
from mer_mlflow.reporting.statistics import compare_pairs, holm
from mer_mlflow.reporting.validations import Frame, Selection, Validation

MISSING = Cell(text="–")


@dataclass(frozen=True, kw_only=True)
class Context:
    """Data of a report.

    Attributes
    ----------
    selection : the cross-validations
    address : address of MLflow's web pages
    reasons : reason of each (method, dataset) without a result, from studies
    descriptions : descriptions of the clips of datasets that are at hand
    """

    selection: Selection
    address: str
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)
    descriptions: Sequence[ClipDescriptions] = ()

    @cached_property
    def labels(self) -> dict[str, str]:
        """Label of each cross-validation by run id."""
        return self.selection.labels()

    @cached_property
    def frame_titles(self) -> dict[Frame, str]:
        """Title of each frame."""
        return self.selection.frame_titles()

    @cached_property
    def pairs(self) -> dict[Frame, pd.DataFrame]:
        """Comparison of all pairs of each frame with several complete cross-validations.

        Each pair is compared on all splits that both have; ``n_splits`` is their number.
        """
        frames = self.selection.by_frame()
        return {frame: self._compared(items) for frame, items in frames.items() if len(items) > 1}

    def _compared(self, items: Sequence[Validation]) -> pd.DataFrame:
        rows = []
        for pair in itertools.combinations(items, 2):
            scores = self.paired_scores(pair)
            compared = compare_pairs(scores, test_share=items[0].test_share)
            rows.append(compared.assign(n_splits=len(scores)))
        table = pd.concat(rows, ignore_index=True)
        return table.assign(p_holm=holm(table["p"].to_numpy(dtype=np.float64)))

    def paired_scores(self, items: Sequence[Validation]) -> pd.DataFrame:
        """Return macro F1 by split (rows) and label (columns), on their common splits."""
        return pd.DataFrame({self.label(item): item.scores() for item in items}).dropna()

    def describe(self, item: Validation, clip: str) -> Description:
        """Return the description of a clip of a cross-validation, empty if it is not at hand."""
        found = (each.describe(item, clip) for each in self.descriptions if each.has(item))
        return next(found, NOTHING)

    def label(self, item: Validation) -> str:
        """Return the label of a cross-validation."""
        return self.labels[item.run_id]

    def link(self, item: Validation) -> Cell:
        """Return a cell with a link to the run."""
        page = run_page(self.address, item.experiment_id, item.run_id)
        return Cell(text=item.run_id[:8], address=page)


def percent(value: float, *, std: float = math.nan, is_best: bool = False) -> Cell:
    """Format a score in per cent, with its standard deviation if there is one."""
    if math.isnan(value):
        return MISSING
    deviation = "" if math.isnan(std) else f" ± {100 * std:.2f}"
    return Cell(text=f"{100 * value:.2f}{deviation}", value=100 * value, is_best=is_best)


def points(value: float, *, note: str = "") -> Cell:
    """Format a difference in points, with its sign."""
    if math.isnan(value):
        return MISSING
    return Cell(text=signed(value) + (f" {note}" if note else ""), value=100 * value)


def interval(low: float, high: float, *, is_difference: bool = False) -> Cell:
    """Format an interval in per cent or points; it is sorted by its lower end."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    ends = [signed(end) if is_difference else f"{100 * end:.2f}" for end in (low, high)]
    return Cell(text=f"{ends[0]} to {ends[1]}", value=100 * low)


def signed(value: float) -> str:
    """Format a number of points with its sign, and a typographic minus."""
    return f"{100 * value:+.2f}".replace("-", "−")


def probability(value: float) -> Cell:
    """Format a probability or p-value with three decimals, or ``< 0.001``."""
    if math.isnan(value):
        return MISSING
    return Cell(text="< 0.001" if value < 0.001 else f"{value:.3f}", value=value)


def number(value: float | None, *, digits: int = 1) -> Cell:
    """Format a number with thin spaces as thousands separators."""
    if value is None or math.isnan(value):
        return MISSING
    return Cell(text=f"{value:,.{digits}f}".replace(",", "\u202f"), value=float(value))


def text(content: object) -> Cell:
    """Return a cell of text."""
    return Cell(text=str(content))


def columns(*heads: str | tuple[str, str]) -> tuple[Column, ...]:
    """Return columns: a title for texts, (title, explanation) for numbers."""
    return tuple(
        Column(title=head)
        if isinstance(head, str)
        else Column(title=head[0], is_number=True, explanation=head[1])
        for head in heads
    )


def table(
    name: str,
    title: str,
    heads: tuple[Column, ...],
    rows: Iterable[tuple[Cell, ...]],
    *,
    notes: tuple[str, ...] = (),
) -> tuple[Table, ...]:
    """Return a table, or nothing if it has no rows."""
    kept = tuple(rows)
    return (Table(name=name, title=title, columns=heads, rows=kept, notes=notes),) * bool(kept)


def mark(words: str, notes: list[str]) -> int:
    """Return the number of a footnote, which is added if it is new."""
    if words not in notes:
        notes.append(words)
    return notes.index(words) + 1
