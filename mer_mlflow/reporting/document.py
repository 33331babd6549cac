"""A report as plain data: sections of text, tables and figures, for rendering in any format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Column:
    """Head of a table's column.

    Attributes
    ----------
    title : displayed title
    is_number : whether cells are aligned to the right and sorted by value
    explanation : meaning of the column, shown as a tooltip
    """

    title: str
    is_number: bool = False
    explanation: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes
    ----------
    text : displayed text
    value : number for sorting, None if there is none
    address : target of a link, empty for no link
    marks : numbers of the table's footnotes for this cell, from 1
    is_best : whether it is highlighted
    file : path of a local file to open, relative to the report; empty for none
    """

    text: str
    value: float | None = None
    address: str = ""
    marks: tuple[int, ...] = ()
    is_best: bool = False
    file: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes
    ----------
    name : name of its files: lower-case letters, digits, hyphens
    title : caption
    columns : columns of the table
    rows : cells; each row has one for each column
    notes : footnotes, to which cells refer by number
    folded : further rows, which are folded away in HTML and only counted in Markdown and LaTeX
    folded_title : number and kind of these rows
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()
    folded: tuple[tuple[Cell, ...], ...] = ()
    folded_title: str = ""

    @property
    def all_rows(self) -> tuple[tuple[Cell, ...], ...]:
        """Rows including those that are folded away."""
        return (*self.rows, *self.folded)


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : name of its files
    title : caption
    description : alternative text
    draw : function that draws it; it is called when the figure is needed
    """

    name: str
    title: str
    description: str
    draw: Callable[[], Figure]

    @cached_property
    def figure(self) -> Figure:
        """Matplotlib figure."""
        return self.draw()


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    content : text without markup
    """

    content: str


Block = Text | Table | Picture


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section.

    Attributes
    ----------
    name : anchor: lower-case letters, digits, hyphens
    title : heading
    blocks : texts, tables and figures, in order
    """

    name: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A report.

    Attributes
    ----------
    title : heading
    facts : (name, value) pairs that describe the source: server, date, number of runs
    sections : sections, in order
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
