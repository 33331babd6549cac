"""Reader of the CSV files of audio datasets, in their usual encodings."""

from __future__ import annotations

import codecs
import csv
import io
import re
import stat
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mer_mlflow.datasets.bounds import Bounds, table_bounds
from mer_mlflow.datasets.clips import QUADRANTS, FeatureTable
from mer_mlflow.errors import DatasetError, excerpt, listing

LARGEST = float(np.finfo(np.float32).max)
"""Largest number that is a valid input of networks."""
PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!": "rar",
}
"""First bytes of compressed files. They are rejected, whatever their names."""
DECODERS = {"utf-8": "utf-8-sig", "cp1252": "cp1252", "utf-16": "utf-16"}
DELIMITERS = ",;\t"
SEPARATOR = re.compile(r"\ufeff?\"?sep=(.)\"?\s*", re.IGNORECASE)
"""First line of a CSV that names its delimiter, as spreadsheet programs write it."""
UNKNOWN = {"", "nan", "n/a", "#n/a", "<na>"}
"""Cells that mean a missing value, in lower case."""
QUADRANT_NAMES = {name: i for i, q in enumerate(QUADRANTS) for name in (q, q[1:], f"{q[1:]}.0")}
BLOCK = 1 << 20
FIELD_LIMIT = "field larger than field limit"
CELL_TOO_LONG = (
    f"a cell has more than {csv.field_size_limit()} characters; shorten it, or close the quotation "
    "mark that it begins with"
)
ID_COLUMNS = ("Song", "SongID", "IDSong")


@dataclass(frozen=True, kw_only=True)
class Table:
    """A CSV file as text.

    Attributes
    ----------
    path : path of the file
    encoding : ``"utf-8"``, ``"cp1252"`` or ``"utf-16"``
    columns : header
    rows : (line number in the file, cells) of each row; as many cells as columns, or more in a
        ragged table
    """

    path: Path
    encoding: str
    columns: tuple[str, ...]
    rows: tuple[tuple[int, tuple[str, ...]], ...]

    def position(self, names: Iterable[str]) -> int:
        """Return the position of the first of these columns that the table has, ignoring case.

        Raises
        ------
        DatasetError
            If it has none of them, or one twice.
        """
        lowered = [column.lower() for column in self.columns]
        wanted = tuple(names)
        for name in wanted:
            if lowered.count(name.lower()) > 1:
                raise DatasetError(f"{self.path}: two columns {name}; remove one")
            if name.lower() in lowered:
                return lowered.index(name.lower())
        found = ", ".join(map(excerpt, self.columns[:6]))
        raise DatasetError(f"{self.path}: no column {' or '.join(wanted)} (columns: {found} …)")

    def has(self, name: str) -> bool:
        """Return whether the table has a column, ignoring case."""
        return name.lower() in (column.lower() for column in self.columns)

    def column(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the stripped cells of the first of these columns that the table has."""
        position = self.position(names)
        return tuple(cells[position].strip() for _, cells in self.rows)

    def with_columns(self, names: Mapping[str, str]) -> Table:
        """Return the table with other names of columns; case and blanks are ignored."""
        wanted = {_plain(old): new for old, new in names.items()}
        return replace(
            self, columns=tuple(wanted.get(_plain(column), column) for column in self.columns)
        )

    def renamed(self, names: Mapping[str, str]) -> Table:
        """Return the table with other ids of clips."""
        if not names:
            return self
        position = self.position(ID_COLUMNS)
        rows = []
        for line, cells in self.rows:
            clip = cells[position].strip()
            rows.append((line, (*cells[:position], names.get(clip, clip), *cells[position + 1 :])))
        return replace(self, rows=tuple(rows))


def _plain(column: str) -> str:
    return "".join(column.split()).lower()


def read_table(path: Path, *, is_ragged: bool = False) -> Table:
    """Read a CSV file: UTF-8, UTF-16 or cp1252; commas, semicolons or tabs; LF or CRLF.

    Empty rows are left out, and so is a first line such as ``sep=;``.

    Parameters
    ----------
    path : the file
    is_ragged : whether rows may have more or fewer cells than the header; a row with fewer gets
        empty cells at its end

    Raises
    ------
    DatasetError
        If the file cannot be read, is compressed, is empty, exceeds the limits of tables, or has a
        row with more or fewer cells than its header although it is not ragged.
    """
    bounds = table_bounds()
    content = _content(path, bounds)
    encoding = _encoding(path, content)
    try:
        columns, rows = _parsed(path, content, encoding, bounds, is_ragged=is_ragged)
    except _NotCsvError:
        if rb"\"" not in content:
            raise
        columns, rows = _parsed(path, content, encoding, bounds, is_ragged=is_ragged, escape="\\")
    if not rows:
        raise DatasetError(f"{path}: no rows; a header and one row a clip are expected")
    return Table(path=path, encoding=encoding, columns=columns, rows=tuple(rows))


class _NotCsvError(DatasetError):
    pass


def _parsed(
    path: Path,
    content: bytes,
    encoding: str,
    bounds: Bounds,
    *,
    is_ragged: bool,
    escape: str | None = None,
) -> tuple[tuple[str, ...], list[tuple[int, tuple[str, ...]]]]:
    """Return the header and the rows of a CSV, in which quotation marks may be escaped."""
    lines = io.TextIOWrapper(io.BytesIO(content), DECODERS[encoding], newline="")
    delimiter, n_skipped = _delimiter(lines)
    checked = bounds.checked_lines(path, lines, delimiter=delimiter)
    reader = csv.reader(checked, delimiter=delimiter, strict=True, escapechar=escape)
    rows: list[tuple[int, tuple[str, ...]]] = []
    try:
        columns = tuple(name.strip() for name in next(reader, []))
        for cells in reader:
            line = reader.line_num + n_skipped
            if not any(map(str.strip, cells)):
                continue
            if is_ragged:
                cells += [""] * (len(columns) - len(cells))
            elif len(cells) != len(columns):
                raise DatasetError(
                    f"{path}, line {line}: {len(cells)} cells where the header has "
                    f"{len(columns)}; correct or remove the line"
                )
            rows.append((line, tuple(cells)))
            bounds.check_cells(path, n_rows=len(rows), n_columns=max(len(columns), len(cells)))
    except csv.Error as error:
        fault = CELL_TOO_LONG if FIELD_LIMIT in str(error) else f"not a CSV file ({error})"
        raise _NotCsvError(f"{path}, line {reader.line_num + n_skipped}: {fault}") from error
    return columns, rows


def _delimiter(lines: io.TextIOWrapper) -> tuple[str, int]:
    """Return the delimiter and the number of lines before the header, and move to the header."""
    first = lines.readline()
    named = SEPARATOR.fullmatch(first)
    if named is None:
        lines.seek(0)
    return (named[1] if named else max(DELIMITERS, key=first.count)), int(named is not None)


def known(cell: str) -> str | None:
    """Return a cell, None if it means a missing value."""
    return None if cell.strip().lower() in UNKNOWN else cell


def read_quadrants(table: Table, *, ids: Sequence[str]) -> tuple[int, ...]:
    """Return the labels of a table's rows.

    Parameters
    ----------
    table : a table with a column ``Quadrant``
    ids : clip id of each row, named in errors

    Returns
    -------
    label of each row, 0 to 3

    Raises
    ------
    DatasetError
        If a row's quadrant is not one of Q1, Q2, Q3, Q4, or their numbers.
    """
    position = table.position(("Quadrant",))
    labels = []
    for clip, (line, cells) in zip(ids, table.rows, strict=True):
        quadrant = cells[position].strip().upper()
        if quadrant not in QUADRANT_NAMES:
            raise DatasetError(
                f"{table.path}, line {line}: unknown quadrant '{excerpt(cells[position])}' of clip "
                f"{excerpt(clip)}; "
                "quadrants are Q1, Q2, Q3, Q4"
            )
        labels.append(QUADRANT_NAMES[quadrant])
    return tuple(labels)


def read_features(table: Table, *, clip_ids: Sequence[str]) -> FeatureTable:
    """Align a table of features with clips.

    Parameters
    ----------
    table : a table with an id column, feature columns and optionally a column ``Quadrant``
    clip_ids : ids of the clips, in order

    Returns
    -------
    features [shape=(n_clips, n_features)], NaN for empty cells and for clips without a row

    Raises
    ------
    DatasetError
        If a cell is not a number, there are no features, or a feature or clip occurs twice.
    """
    key = table.position(ID_COLUMNS)
    columns = [i for i, name in enumerate(table.columns) if i != key and name.lower() != "quadrant"]
    names = Counter(table.columns[i] for i in columns)
    twice = [name for name, count in names.items() if count > 1]
    if twice:
        words = listing([name or "''" for name in twice])
        raise DatasetError(f"{table.path}: several columns have the name {words}; rename or remove")
    if not names:
        raise DatasetError(f"{table.path}: no column of features")
    table_bounds().check_cells(table.path, n_rows=len(clip_ids), n_columns=len(columns))
    wanted = {clip: i for i, clip in enumerate(clip_ids)}
    values = np.full((len(clip_ids), len(columns)), np.nan)
    seen: set[str] = set()
    for line, cells in table.rows:
        clip = cells[key].strip()
        if clip in seen:
            raise DatasetError(f"{table.path}, line {line}: second row of clip {excerpt(clip)}")
        seen.add(clip)
        if clip in wanted:
            values[wanted[clip]] = _numbers(table, line, [cells[i] for i in columns])
    return FeatureTable(names=tuple(names), values=values)


def ranked(table: FeatureTable, ranking: Sequence[str], *, source: Path) -> FeatureTable:
    """Select the features of a ranking, in its order.

    Parameters
    ----------
    table : features
    ranking : feature names, most relevant first; names that are not in the table become its
        missing columns
    source : file of the ranking, for the error message

    Raises
    ------
    DatasetError
        If the table has none of them.
    """
    ordered = as_published(table, ranking)
    n_kept = len(table.names) - len(ordered.unpublished)
    if not n_kept:
        raise DatasetError(
            f"{source}: names none of the features in the table (which has {table.names[0]} …); "
            "remove the ranking or give the one that belongs to the table"
        )
    return FeatureTable(
        names=ordered.names[:n_kept],
        values=np.ascontiguousarray(ordered.values[:, :n_kept]),
        missing=ordered.missing,
    )


def as_published(table: FeatureTable, published: Sequence[str]) -> FeatureTable:
    """Reorder the columns of a table as published, other columns last.

    Parameters
    ----------
    table : features
    published : names of the published columns, in order

    Returns
    -------
    the same features, with the names of unpublished and of missing columns
    """
    positions = {name: i for i, name in enumerate(table.names)}
    wanted = dict.fromkeys(published)
    others = tuple(name for name in table.names if name not in wanted)
    names = (*(name for name in wanted if name in positions), *others)
    return FeatureTable(
        names=names,
        values=np.ascontiguousarray(table.values[:, [positions[name] for name in names]]),
        unpublished=others,
        missing=tuple(name for name in wanted if name not in positions),
    )


def _content(path: Path, bounds: Bounds) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            what = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
            raise DatasetError(f"{path}: cannot be read (it is a {what}); name a CSV file")
        bounds.check_size(path, status.st_size)
        content = bytearray()
        with path.open("rb") as file:
            while block := file.read(BLOCK):
                content += block
                bounds.check_size(path, len(content))  # longer than its reported size
    except OSError as error:
        raise DatasetError(f"{path}: cannot be read ({error.strerror})") from error
    return bytes(content)


def _encoding(path: Path, content: bytes) -> str:
    packed = next((name for start, name in PACKED.items() if content.startswith(start)), None)
    if packed is not None:
        raise DatasetError(f"{path}: is compressed ({packed}); unpack it and name the CSV file")
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        if not _is_readable(content, "utf-16"):
            raise DatasetError(f"{path}: not a text file; a CSV in UTF-8 or cp1252 is expected")
        return "utf-16"
    if b"\0" in content:
        raise DatasetError(f"{path}: not a text file; a CSV in UTF-8 or cp1252 is expected")
    for encoding in ("utf-8", "cp1252"):
        if _is_readable(content, DECODERS[encoding]):
            return encoding
    raise DatasetError(f"{path}: neither UTF-8 nor cp1252; save it as UTF-8")


def _is_readable(content: bytes, decoder: str) -> bool:
    """Return whether bytes can be decoded; in blocks, because decoded text needs more memory."""
    decode = codecs.getincrementaldecoder(decoder)().decode
    whole = memoryview(content)
    try:
        for start in range(0, len(whole), BLOCK):
            decode(whole[start : start + BLOCK], start + BLOCK >= len(whole))
    except UnicodeDecodeError:
        return False
    return True


def _numbers(table: Table, line: int, cells: Sequence[str]) -> list[float]:
    try:
        numbers = [float(cell) if cell.strip() else np.nan for cell in cells]
    except ValueError as error:
        raise DatasetError(
            f"{table.path}, line {line}: {excerpt(str(error))}; features are numbers"
        ) from error
    if any(abs(number) > LARGEST for number in numbers):
        raise DatasetError(f"{table.path}, line {line}: a feature is infinite, or nearly so")
    return numbers
