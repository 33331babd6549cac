"""CSV files for spreadsheets: texts are escaped, so that none is interpreted as a formula.

References
----------
OWASP, "CSV Injection", https://owasp.org/www-community/attacks/CSV_Injection
"""

from __future__ import annotations

import re

import pandas as pd

FORMULA = re.compile(r"'*(?:[\t\r\n]|[\s\x00-\x1f\u200b\ufeff]*[=+\-@＝＋－＠﹦﹢﹣﹫])")
"""Beginning of a text that a spreadsheet may interpret as a formula. The apostrophes distinguish
escaped texts from texts that already began with an apostrophe."""
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def escaped(text: str) -> str:
    """Return the text of a CSV cell, with an apostrophe before it if it begins like a formula.

    A formula begins with ``=``, ``+``, ``-`` or ``@``, also full-width and after spaces, or with a
    tab or the end of a line. A text that is a decimal number stays as it is.

    Parameters
    ----------
    text : any text

    Returns
    -------
    escaped text; :func:`unescaped` is the inverse function
    """
    return f"'{text}" if _is_formula(text) else text


def unescaped(cell: str) -> str:
    """Return the original text of a CSV cell; the inverse of :func:`escaped`."""
    return cell[1:] if cell.startswith("'") and _is_formula(cell[1:]) else cell


def to_csv(table: pd.DataFrame) -> bytes:
    """Write a table as CSV without its index, in UTF-8; texts are escaped, numbers are not."""
    names = [escaped(str(name)) for name in table.columns]
    safe = pd.DataFrame({i: _escaped(column) for i, (_, column) in enumerate(table.items())})
    return safe.to_csv(index=False, header=names).encode()


def _escaped(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column):
        return column
    texts = [escaped(value) if isinstance(value, str) else value for value in column]
    return pd.Series(texts, index=column.index, dtype=object)


def _is_formula(text: str) -> bool:
    return FORMULA.match(text) is not None and NUMBER.fullmatch(text) is None
