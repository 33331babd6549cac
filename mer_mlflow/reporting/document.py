"""A report as plain data: sections of text, tables and pictures, to be set in any format."""

from __future__ import annotations

from dataclasses import dataclass

from matplotlib.figure import Figure


@dataclass(frozen=True, kw_only=True)
class Column:
    """Head of a table's column.

    Attributes
    ----------
    title : as shown
    is_number : whether cells are set to the right and sorted by their value
    explanation : what the column says, shown on request
    """

    title: str
    is_number: bool = False
    explanation: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One cell of a table.

    Attributes
    ----------
    text : as shown
    value : what the cell is sorted by, None where it has no number
    address : where a click leads, empty where nowhere
    marks : numbers of the table's notes that belong to it, from 1
    is_best : whether it stands out
    """

    text: str
    value: float | None = None
    address: str = ""
    marks: tuple[int, ...] = ()
    is_best: bool = False


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes
    ----------
    name : of its files: small letters, digits, hyphens
    title : caption
    columns : heads
    rows : cells, as many in each row as there are columns
    notes : footnotes, which cells refer to by number
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A figure.

    Attributes
    ----------
    name : of its files
    title : caption
    description : what it shows, in words, for those who do not see it
    figure : drawn
    """

    name: str
    title: str
    description: str
    figure: Figure


@dataclass(frozen=True, kw_only=True)
class Text:
    """A paragraph.

    Attributes
    ----------
    words : without markup
    """

    words: str


Block = Text | Table | Picture


@dataclass(frozen=True, kw_only=True)
class Section:
    """A section.

    Attributes
    ----------
    name : anchor: small letters, digits, hyphens
    title : heading
    blocks : in order
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
    facts : (name, value) of what the report was made of: where, when, of how many runs
    sections : in order
    """

    title: str
    facts: tuple[tuple[str, str], ...]
    sections: tuple[Section, ...]
