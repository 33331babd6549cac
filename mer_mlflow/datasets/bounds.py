"""What a table may have: a file can hold, or say that it holds, more than any memory does."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from mer_mlflow.errors import DatasetError, ParameterError

SCALE_VARIABLE = "MER_TABLE_SCALE"
MOST_BYTES = 1 << 28
MOST_ROWS = 2_000_000
MOST_COLUMNS = 100_000
MOST_CELLS = 40_000_000
"""Published tables have 24 MB, 900 rows, 1716 columns and 1.5 million cells; a cell takes some 60
bytes of memory."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """The most that a table may have.

    Attributes
    ----------
    n_bytes, n_rows, n_columns, n_cells : of the file, and of what is in it
    """

    n_bytes: int
    n_rows: int
    n_columns: int
    n_cells: int

    def check_size(self, path: Path, n_bytes: int) -> None:
        """Refuse a file that is too large, before it is read.

        Raises
        ------
        DatasetError
            If it is.
        """
        if n_bytes > self.n_bytes:
            raise _beyond(path, f"more than {self.n_bytes / 2**20:g} MiB")

    def check_cells(self, path: Path, *, n_rows: int, n_columns: int) -> None:
        """Refuse a table that has too many rows or cells.

        Raises
        ------
        DatasetError
            If it has.
        """
        if n_rows > self.n_rows:
            raise _beyond(path, f"more than {self.n_rows} rows")
        if n_rows * n_columns > self.n_cells:
            raise _beyond(path, f"more than {self.n_cells} cells ({n_columns} columns)")

    def checked_lines(self, path: Path, lines: Iterable[str], *, delimiter: str) -> Iterator[str]:
        """Pass lines on, none of which has too many columns.

        Raises
        ------
        DatasetError
            If one has.
        """
        for number, line in enumerate(lines, start=1):
            if line.count(delimiter) >= self.n_columns:
                where = f"{path}, line {number}"
                raise _beyond(where, f"more than {self.n_columns} columns")
            yield line


def table_bounds() -> Bounds:
    """Bounds of the tables that are read, all multiplied by ``MER_TABLE_SCALE``, by default 1.

    Raises
    ------
    ParameterError
        If it is no number, or not above 0.
    """
    given = os.environ.get(SCALE_VARIABLE) or "1"
    try:
        scale = float(given)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise ParameterError(f"{SCALE_VARIABLE}={given}: must be a number > 0")
    most = (MOST_BYTES, MOST_ROWS, MOST_COLUMNS, MOST_CELLS)
    n_bytes, n_rows, n_columns, n_cells = (max(1, int(scale * each)) for each in most)
    return Bounds(n_bytes=n_bytes, n_rows=n_rows, n_columns=n_columns, n_cells=n_cells)


def _beyond(where: Path | str, what: str) -> DatasetError:
    return DatasetError(
        f"{where}: {what}; name another table or, where this one is meant and memory is large "
        f"enough, raise all bounds of tables by {SCALE_VARIABLE} (2 doubles them)"
    )
