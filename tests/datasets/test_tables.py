import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mer_mlflow.datasets.tables import Table, known, read_features, read_quadrants, read_table
from mer_mlflow.errors import DatasetError

NAMES = st.text("abcdefgXYZ_ 0123", min_size=1, max_size=8).map(str.strip).filter(bool)
TYPICAL = "Song;,\"'\n é–ß€ø0.5"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table.csv"


def text(alphabet: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.text(alphabet | st.sampled_from(TYPICAL), max_size=12)


@st.composite
def tables(draw, alphabet):
    """A header of at least two columns, so that its delimiter shows, and rows of any text."""
    header = draw(st.lists(NAMES, min_size=2, max_size=5))
    row = st.tuples(*(text(alphabet) for _ in header)).filter(lambda row: any(map(str.strip, row)))
    return tuple(header), tuple(draw(st.lists(row, min_size=1, max_size=5)))


def as_csv(header, rows, *, delimiter, newline):
    sink = io.StringIO()
    writer = csv.writer(
        sink, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_NONNUMERIC
    )
    writer.writerows([header, *rows])
    return sink.getvalue()


def cells(table: Table):
    return tuple(row for _, row in table.rows)


LAYOUTS = {"delimiter": st.sampled_from(",;"), "newline": st.sampled_from(["\n", "\r\n"])}


@settings(deadline=None, max_examples=60)
@given(
    content=tables(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
    **LAYOUTS,
)
def test_any_utf8_table_comes_back(file, content, encoding, delimiter, newline):
    header, rows = content
    file.write_bytes(as_csv(*content, delimiter=delimiter, newline=newline).encode(encoding))
    table = read_table(file)
    assert (table.encoding, table.columns, cells(table)) == ("utf-8", header, rows)


@settings(deadline=None, max_examples=60)
@given(content=tables(st.characters(codec="cp1252", exclude_characters="\0")), **LAYOUTS)
def test_any_cp1252_table_comes_back(file, content, delimiter, newline):
    header, rows = content
    rows += (("Björk",) * len(header),)  # é alone may be UTF-8 by chance, this is not
    file.write_bytes(as_csv(header, rows, delimiter=delimiter, newline=newline).encode("cp1252"))
    table = read_table(file)
    assert (table.encoding, table.columns, cells(table)) == ("cp1252", header, rows)


def table_or_dataset_error(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    try:
        table = read_table(file)
    except DatasetError as error:
        assert str(file) in str(error)
    else:
        assert table.rows
        assert {len(row) for row in cells(table)} == {len(table.columns)}


@settings(deadline=None, max_examples=150)
@given(
    content=st.binary(max_size=200)
    | text(st.characters(codec="utf-16")).map(lambda s: s.encode("utf-16"))
)
@example(b"")
@example(b"\xff\xfe\n\x81")
@example(b'Song,Quadrant\n"A001,Q1')
@example(b"Song,Quadrant\rA001,Q1\r")
@example(b"\nA001,Q1\n")
@example(b"Song,Quadrant\nA001," + b"Q" * 200_000)
def test_any_bytes_give_a_table_or_a_dataset_error(file, content):
    table_or_dataset_error(file, content)


REAL_LOOKING = (
    '"Song","Artist","Quadrant"\r\n"MT0000004637","Earth, Wind & Fire","Q3"\r\n'
    '"MT0000011357","Sigur Rós","Q2"\r\n"MT0000040632","""Weird Al"" Yankovic","Q1"\r\n'
).encode()


@settings(deadline=None, max_examples=150)
@given(
    start=st.integers(0, len(REAL_LOOKING)),
    removed=st.integers(0, 20),
    inserted=st.binary(max_size=3) | st.sampled_from([b'"', b"\r", b"\n", b";", b","]),
)
def test_a_damaged_csv_gives_a_table_or_a_dataset_error(file, start, removed, inserted):
    damaged = REAL_LOOKING[:start] + inserted + REAL_LOOKING[start + removed :]
    table_or_dataset_error(file, damaged)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no rows"),
        (b"Song,Quadrant\n", "no rows"),
        (b"Song,Quadrant\nA001,Q1\nA002\n", "line 3: 1 cells where the header has 2"),
        (b"Song,Quadrant\nA001,Q1,x\n", "line 2: 3 cells where the header has 2"),
        (b'Song,Quadrant\n"A001"x,Q1\n', "line 2: not a CSV file"),
        (b"\x89PNG\r\n\0\0", "not a text file"),
        ("Song,Quadrant\n".encode("utf-16"), "no rows"),
        ("Song,Quadrant\n".encode("utf-16-le"), "not a text file"),
        (b"\xff\xfeS\0\0\xd8\n\0", "not a text file"),
        (b"sep=;\nSong;Quadrant\nA001\n", "line 3: 1 cells where the header has 2"),
        (b"Song,Quadrant\nBj\xf6rk\x81,Q1\n", "neither UTF-8 nor cp1252"),
    ],
)
def test_what_is_wrong_and_where_is_said(file, content, message):
    file.write_bytes(content)
    with pytest.raises(DatasetError, match=message) as raised:
        read_table(file)
    assert str(file) in str(raised.value)


def test_unreadable_file_is_named(tmp_path):
    with pytest.raises(DatasetError, match=r"gone\.csv: cannot be read"):
        read_table(tmp_path / "gone.csv")


def table(*lines: str) -> Table:
    header, *rows = (line.split(",") for line in lines)
    return Table(
        path=Path("some.csv"),
        encoding="utf-8",
        columns=tuple(header),
        rows=tuple((i, tuple(row)) for i, row in enumerate(rows, start=2)),
    )


def test_columns_are_found_whatever_their_case():
    some = table("SONGID,quadrant", " A001 ,Q1")
    assert some.column(("Song", "SongID")) == ("A001",)
    assert some.has("Quadrant")
    with pytest.raises(DatasetError, match=r"some\.csv: no column Artist \(columns: SONGID"):
        some.column(("Artist",))


def test_quadrants_become_labels():
    some = table("Song,Quadrant", "A,Q2", "B, q4 ", "C,Q1", "D,3", "E, 1.0")
    assert read_quadrants(some, ids=tuple("ABCDE")) == (1, 3, 0, 2, 0)


ROWS = (("Song", "Artist"), ("A001", "Ann, B"), ("A002", "Sigur Rós"))


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("first", ["", "sep={}\n", '"sep={}"\r\n'])
def test_tables_of_spreadsheet_programs_are_read(
    tmp_path: Path, write_csv, delimiter: str, encoding: str, first: str
) -> None:
    path = write_csv(tmp_path / "a.csv", *ROWS, delimiter=delimiter)
    content = first.format(delimiter) + path.read_text(encoding="utf-8")
    path.write_text(content, encoding=encoding)
    found = read_table(path)
    assert (found.columns, cells(found)) == (ROWS[0], ROWS[1:])
    assert [line for line, _ in found.rows] == ([3, 4] if first else [2, 3])


def test_empty_rows_are_left_out(file: Path) -> None:
    file.write_bytes(b"Song,Quadrant\r\n,\r\nA,Q1\r\n \r\n, \r\nB,Q2\r\n,,\r\n\r\n")
    assert read_table(file).rows == ((3, ("A", "Q1")), (6, ("B", "Q2")))


def test_quotation_marks_may_be_escaped_by_backslashes(file: Path) -> None:
    file.write_bytes(rb"Song,Artist" b"\n" rb'"A","\"Weird Al\" Yankovic"' b"\n" rb'B,"AC"')
    assert cells(read_table(file)) == (("A", '"Weird Al" Yankovic'), ("B", "AC"))
    file.write_bytes(rb"Song,Artist" b"\n" rb'a\b,"AC\"')
    assert cells(read_table(file)) == (("a\\b", "AC\\"),)


@pytest.mark.parametrize("cell", ["", " ", "nan", "NaN", "N/A", "n/a", "<NA>"])
def test_missing_values_are_unknown(cell: str) -> None:
    assert known(cell) is None
    assert known("Nan Goldin") == "Nan Goldin"


@pytest.mark.parametrize("quadrant", ["Q5", "", "5", "0.0", "1.5", "happy"])
def test_unknown_quadrant_names_file_line_and_clip(quadrant):
    some = table("Song,Quadrant", "A,Q2", f"B,{quadrant}")
    with pytest.raises(DatasetError, match=rf"some\.csv, line 3: .*'{quadrant}' of clip B"):
        read_quadrants(some, ids=("A", "B"))


def test_features_are_aligned_with_the_clips():
    some = table("IDSong,F2,F1,Quadrant", "C,5,6,Q1", "A,1,,Q1", "unused,7,8,Q1")
    features = read_features(some, clip_ids=("A", "B", "C"))
    assert features.names == ("F2", "F1")
    np.testing.assert_array_equal(features.values, [[1, np.nan], [np.nan, np.nan], [5, 6]])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (("A,1", "B,loud"), r"some\.csv, line 3: .*'loud'; features are numbers"),
        (("A,1", "B,inf"), r"some\.csv, line 3: a feature is infinite"),
        (("A,1", "A,1"), r"some\.csv, line 3: second row of clip A"),
    ],
)
def test_wrong_features_name_file_and_line(rows, message):
    with pytest.raises(DatasetError, match=message):
        read_features(table("Song,F1", *rows), clip_ids=("A", "B"))
