"""What all sections are made of, and cells that they write alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from mer_mlflow.access import run_page
from mer_mlflow.reporting.document import Cell, Column, Table
from mer_mlflow.reporting.validations import Frame, Selection, Validation

MISSING = Cell(text="–")


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a report is made of.

    Attributes
    ----------
    selection : the cross-validations
    address : of MLflow's pages
    reasons : why a (method, dataset) has no result, as studies wrote it
    """

    selection: Selection
    address: str
    reasons: Mapping[tuple[str, str], str] = field(default_factory=dict)

    @cached_property
    def labels(self) -> dict[str, str]:
        """Name of each cross-validation by run id."""
        return self.selection.labels()

    @cached_property
    def frame_titles(self) -> dict[Frame, str]:
        """Name of each frame."""
        return self.selection.frame_titles()

    def label(self, item: Validation) -> str:
        """Name of a cross-validation."""
        return self.labels[item.run_id]

    def link(self, item: Validation) -> Cell:
        """Cell that leads to the run."""
        page = run_page(self.address, item.experiment_id, item.run_id)
        return Cell(text=item.run_id[:8], address=page)


def percent(value: float, *, std: float = math.nan, is_best: bool = False) -> Cell:
    """Score in per cent, with its deviation where there is one."""
    if math.isnan(value):
        return MISSING
    deviation = "" if math.isnan(std) else f" ± {100 * std:.2f}"
    return Cell(text=f"{100 * value:.2f}{deviation}", value=100 * value, is_best=is_best)


def points(value: float, *, words: str = "") -> Cell:
    """Difference in points, with its sign."""
    if math.isnan(value):
        return MISSING
    return Cell(text=signed(value) + (f" {words}" if words else ""), value=100 * value)


def interval(low: float, high: float, *, is_difference: bool = False) -> Cell:
    """Interval in per cent or points, sorted by its lower end."""
    if math.isnan(low) or math.isnan(high):
        return MISSING
    ends = [signed(end) if is_difference else f"{100 * end:.2f}" for end in (low, high)]
    return Cell(text=f"{ends[0]} to {ends[1]}", value=100 * low)


def signed(value: float) -> str:
    """Number of points with its sign, and a true minus."""
    return f"{100 * value:+.2f}".replace("-", "−")


def probability(value: float) -> Cell:
    """Probability or p-value with three decimals; smaller ones say so."""
    if math.isnan(value):
        return MISSING
    return Cell(text="< 0.001" if value < 0.001 else f"{value:.3f}", value=value)


def number(value: float | None, *, digits: int = 1) -> Cell:
    """Number with thin spaces between its thousands."""
    if value is None or math.isnan(value):
        return MISSING
    return Cell(text=f"{value:,.{digits}f}".replace(",", "\u202f"), value=float(value))


def text(words: object) -> Cell:
    """Cell of words."""
    return Cell(text=str(words))


def columns(*heads: str | tuple[str, str]) -> tuple[Column, ...]:
    """Heads of columns: a word for text, (word, explanation) for numbers."""
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
    """Return a table, or nothing where it has no rows."""
    kept = tuple(rows)
    return (Table(name=name, title=title, columns=heads, rows=kept, notes=notes),) * bool(kept)
