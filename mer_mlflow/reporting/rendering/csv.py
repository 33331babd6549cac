"""Tables as CSV, for spreadsheets and data frames."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator

from mer_mlflow.reporting.document import Cell, Column, Table
from mer_mlflow.spreadsheet import escaped

EMPTY = ("", "-", "–", "—")


def to_csv(table: Table) -> str:
    """Write a table as CSV: texts are quoted and escaped, numbers have full precision.

    There are two kinds of additional columns: ``<title> as shown`` for numbers whose text contains
    more, such as a standard deviation, and ``<title> address`` for links.

    Parameters
    ----------
    table : the table

    Returns
    -------
    lines that end with a line feed; the first one has the titles
    """
    columns = [
        written
        for column, *cells in zip(table.columns, *table.all_rows, strict=True)
        for written in _columns(column, tuple(cells))
    ]
    buffer = io.StringIO()
    writer = csv.writer(buffer, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerows(zip(*columns, strict=True))
    return buffer.getvalue()


def _columns(column: Column, cells: tuple[Cell, ...]) -> Iterator[list[str | float]]:
    if column.is_number:
        yield [escaped(column.title), *map(_number, cells)]
    if not column.is_number or any(_has_more(cell) for cell in cells):
        title = f"{column.title} as shown" if column.is_number else column.title
        yield [escaped(text) for text in (title, *(cell.text for cell in cells))]
    if any(cell.address for cell in cells):
        title = f"{column.title} address"
        yield [escaped(text) for text in (title, *(cell.address for cell in cells))]


def _number(cell: Cell) -> str | float:
    if cell.value is None or math.isnan(cell.value):
        return ""
    value = float(cell.value)
    return int(value) if value.is_integer() else value


def _has_more(cell: Cell) -> bool:
    try:
        float(cell.text.replace("−", "-"))
    except ValueError:
        return cell.text.strip() not in EMPTY
    return False
