"""Tables as JSON, for scripts."""

from __future__ import annotations

import json
import math
from typing import Any

from mer_mlflow.reporting.document import Cell, Table


def to_json(table: Table) -> str:
    """Write a table as JSON.

    Parameters
    ----------
    table : the table

    Returns
    -------
    an object with ``name``, ``title``, ``columns``, ``rows`` and ``notes``. A row is an object with
    a cell by each column's title: ``text`` as shown, ``value`` of a number (null if there is none),
    and, where they exist, ``address`` of a link and numbers of ``notes``
    """
    titles = [column.title for column in table.columns]
    numbers = [column.is_number for column in table.columns]
    made = {
        "name": table.name,
        "title": table.title,
        "columns": titles,
        "rows": [
            dict(zip(titles, map(_cell, row, numbers), strict=True)) for row in table.all_rows
        ],
        "notes": list(table.notes),
    }
    return json.dumps(made, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(cell: Cell, is_number: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"text": cell.text}
    if is_number:
        has_value = cell.value is not None and math.isfinite(cell.value)
        found["value"] = float(cell.value or 0) if has_value else None
    if cell.address:
        found["address"] = cell.address
    if cell.marks:
        found["notes"] = list(cell.marks)
    return found
