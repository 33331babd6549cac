"""CSV files that spreadsheets open: no text in them is taken for a formula.

References
----------
OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import re

import pandas as pd

FORMULA = re.compile(r"'*(?:[\t\r\n]|[\s\x00-\x1f\u200b\ufeff]*[=+\-@＝＋－＠﹦﹢﹣﹫])")
"""Start of what a spreadsheet may compute. The apostrophes keep escaped texts distinct from texts
that had one before."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def escaped(text: str) -> str:
    """Text of a CSV cell: with an apostrophe before it where it begins like a formula.

    A formula begins with ``=``, ``+``, ``-`` or ``@``, also full-width and after blanks, or with a
    tab or the end of a line. A text that is a decimal number stays as it is.

    Parameters
    ----------
    text : any text

    Returns
    -------
    text that :func:`unescaped` gives back
    """
    return f"'{text}" if _is_formula(text) else text


def unescaped(cell: str) -> str:
    """Text that a CSV cell was written from, with or without an apostrophe before it."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def to_csv(table: pd.DataFrame) -> bytes:
    """Write a table as CSV without its index, in UTF-8; texts are escaped, numbers are not."""
    safe = table.map(lambda value: escaped(value) if isinstance(value, str) else value)
    safe.columns = pd.Index([escaped(str(name)) for name in table.columns])
    return safe.to_csv(index=False).encode()


def _is_formula(text: str) -> bool:
    return FORMULA.match(text) is not None and NUMBER.fullmatch(text) is None
