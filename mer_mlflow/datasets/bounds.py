"""Size limits of tables, so that a damaged or huge file cannot exhaust the memory."""

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
"""Published tables have 24 MB, 900 rows, 1716 columns and 1.5 million cells; a cell needs about 60
bytes of memory."""


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Size limits of a table.

    Attributes
    ----------
    n_bytes : maximum size of the file
    n_rows, n_columns, n_cells : maximum numbers of rows, columns and cells
    """

    n_bytes: int
    n_rows: int
    n_columns: int
    n_cells: int

    def check_size(self, path: Path, n_bytes: int) -> None:
        """Reject a file that is too large, before it is read.

        Raises
        ------
        DatasetError
            If it is too large.
        """
        if n_bytes > self.n_bytes:
            raise _beyond(path, f"more than {self.n_bytes / 2**20:g} MiB")

    def check_cells(self, path: Path, *, n_rows: int, n_columns: int) -> None:
        """Reject a table that has too many rows or cells.

        Raises
        ------
        DatasetError
            If it has too many.
        """
        if n_rows > self.n_rows:
            raise _beyond(path, f"more than {self.n_rows} rows")
        if n_rows * n_columns > self.n_cells:
            raise _beyond(path, f"more than {self.n_cells} cells ({n_columns} columns)")

    def checked_lines(self, path: Path, lines: Iterable[str], *, delimiter: str) -> Iterator[str]:
        """Yield lines unchanged, and reject a line that has too many columns.

        Raises
        ------
        DatasetError
            If a line has too many columns.
        """
        for number, line in enumerate(lines, start=1):
            if line.count(delimiter) >= self.n_columns:
                where = f"{path}, line {number}"
                raise _beyond(where, f"more than {self.n_columns} columns")
            yield line


def table_bounds() -> Bounds:
    """Return the size limits of tables, multiplied by ``MER_TABLE_SCALE``, by default 1.

    Raises
    ------
    ParameterError
        If it is not a number greater than 0.
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
        f"{where}: {what}; name another table or, if this one is correct and the memory is large "
        f"enough, raise all size limits of tables with {SCALE_VARIABLE} (2 doubles them)"
    )
