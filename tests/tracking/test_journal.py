"""The journal: what was appended is there, in order, whatever happens to its process."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.errors import JournalError, ParameterError
from mer_mlflow.tracking.items import File
from mer_mlflow.tracking.journal import (
    Close,
    Create,
    Entry,
    Journal,
    JournalGoneError,
    JournalInUseError,
    Known,
    Write,
    journal_root,
    journals,
    new_journal,
)
from mer_mlflow.tracking.writer import Batch

ROOT = Path(__file__).parents[2]
FACTS = {"server": "http://server", "parent": "p"}
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
tags = st.dictionaries(texts, texts, max_size=3)
metrics = st.tuples(texts, st.floats(allow_nan=False), st.integers(0, 2**40), st.integers(0, 99))
files = st.builds(File, name=texts, content=st.binary(max_size=99))
batches = st.builds(
    Batch,
    metrics=st.lists(metrics, max_size=3).map(tuple),
    params=tags,
    tags=tags,
    files=st.lists(files, max_size=3).map(tuple),
)
entries = st.one_of(
    st.builds(
        Create,
        run=texts,
        experiment_id=texts,
        name=texts,
        start_time=st.integers(0, 2**40),
        tags=tags,
    ),
    st.builds(Write, run=texts, batch=batches),
    st.builds(Close, run=texts, status=texts, end_time=st.integers(0, 2**40), tags=tags),
)


def close(run: str) -> Close:
    return Close(run=run, status="FINISHED", end_time=1, tags={})


def create(run: str) -> Create:
    return Create(run=run, experiment_id="0", name=run, start_time=1, tags={})


@contextmanager
def reopened(journal: Journal) -> Iterator[Journal]:
    """The journal as another process finds it."""
    journal.close()
    again = Journal(journal.path)
    yield again
    again.close()


def read_all(journal: Journal) -> list[Entry]:
    found, number = [], 0
    while (following := journal.after(number)) is not None:
        number, entry = following
        found.append(entry)
    return found


@given(st.lists(st.lists(entries, max_size=3), max_size=5), st.integers(0, 5))
def test_entries_come_back_as_they_were_in_their_order(
    tmp_path_factory: pytest.TempPathFactory, appended: list[list[Entry]], n_forgotten: int
) -> None:
    journal = new_journal(tmp_path_factory.mktemp("journal") / "a.journal", FACTS)
    numbers = count()
    appended = [
        [replace(e, run=f"{next(numbers)}") if isinstance(e, Create) else e for e in several]
        for several in appended
    ]
    for several in appended:
        journal.append(*several)
    expected = [entry for several in appended for entry in several]
    runs = list(dict.fromkeys(entry.run for entry in expected))
    assert list(journal.written_runs()) == runs
    for run in runs[:n_forgotten]:
        journal.forget(run)
    left = [entry for entry in expected if entry.run not in runs[:n_forgotten]]
    with reopened(journal) as again:
        assert again.facts == FACTS
        assert len(again) == len(left)
        assert read_all(again) == left
        for run in runs:
            writes = [each for each in left if isinstance(each, Write) and each.run == run]
            assert list(again.writes(run)) == writes


def test_runs_are_known_until_they_are_forgotten(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "a.journal", FACTS)
    journal.append(create("one"), create("two"), close("one"))
    journal.note_run("one", "id-1")
    with reopened(journal) as again:
        assert again.runs() == (
            Known(run="one", number=1, run_id="id-1", is_open=False),
            Known(run="two", number=2, run_id=None, is_open=True),
        )
        again.forget("one")
        assert [known.run for known in again.runs()] == ["two"]


def test_journal_of_an_earlier_version_is_read(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "a.journal", FACTS)
    metrics = (("loss", float("inf"), 1, 0),)
    write = Write(run="one", batch=Batch(metrics=metrics, params={}, tags={}, files=()))
    journal.append(create("one"), write, close("two"))
    journal._database.execute("DROP INDEX entry_runs")
    journal._database.execute("ALTER TABLE entries DROP COLUMN run")
    with reopened(journal) as again:
        assert again.written_runs() == ("one", "two")
        again.forget("two")
        assert read_all(again) == [create("one"), write]


def test_interruption_leaves_no_half_of_a_transaction(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "a.journal", FACTS)

    class Interrupting(dict[str, str]):
        def items(self) -> NoReturn:  # type: ignore[override]
            raise KeyboardInterrupt

    halfway = Create(run="b", experiment_id="0", name="b", start_time=1, tags=Interrupting(a="b"))
    with pytest.raises(KeyboardInterrupt):
        journal.append(create("a"), halfway)
    journal.append(create("c"))
    with reopened(journal) as again:
        assert read_all(again) == [create("c")]


def test_what_has_no_room_is_not_there_at_all(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "a.journal", FACTS)
    journal.append(close("one"))
    journal._database.execute("PRAGMA max_page_count=1")
    large = Batch(metrics=(), params={}, tags={}, files=(File(name="f", content=bytes(10**6)),))
    with pytest.raises(JournalError, match=r"a\.journal cannot be written .*full.*free disk space"):
        journal.append(close("two"), Write(run="two", batch=large))
    with reopened(journal) as again:
        assert read_all(again) == [close("one")]


WRITER = """
import sys
from pathlib import Path
from mer_mlflow.tracking.journal import Close, Create, new_journal
journal = new_journal(Path(sys.argv[1]), {})
for i in range(10**6):
    journal.append(
        Create(run=str(i), experiment_id="0", name=str(i), start_time=1, tags={}),
        Close(run=str(i), status="FINISHED", end_time=1, tags={}),
    )
"""


def test_killed_process_leaves_whole_entries(tmp_path: Path) -> None:
    path = tmp_path / "a.journal"
    process = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], cwd=ROOT)
    log = path.with_name("a.journal-wal")
    while not (log.exists() and log.stat().st_size > 50_000):
        assert process.poll() is None
    with pytest.raises(JournalInUseError, match="still running"):
        Journal(path)
    process.kill()
    process.wait()
    journal = Journal(path)
    n_entries = len(journal)
    assert n_entries > 0 and n_entries % 2 == 0
    expected = [each for i in range(n_entries // 2) for each in (create(str(i)), close(str(i)))]
    assert read_all(journal) == expected
    journal.remove()
    assert list(tmp_path.iterdir()) == []


def test_journals_are_found_and_damaged_ones_are_named(tmp_path: Path) -> None:
    new_journal(tmp_path / "a.journal", FACTS).close()
    (tmp_path / "b.journal").write_bytes(b"no database" * 1000)
    (tmp_path / "c.journal").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("not a journal")
    assert {path.name for path in journals(tmp_path)} == {"a.journal", "b.journal", "c.journal"}
    for name in ("b", "c"):
        with pytest.raises(JournalError, match=rf"{name}\.journal cannot be read .*move it away"):
            Journal(tmp_path / f"{name}.journal")
    with pytest.raises(JournalGoneError, match="no such journal"):
        Journal(tmp_path / "d.journal")
    assert not (tmp_path / "d.journal").exists()
    with pytest.raises(JournalError, match="exists already"):
        new_journal(tmp_path / "a.journal", FACTS)


def test_damaged_page_is_an_error_of_the_journal(tmp_path: Path) -> None:
    journal = new_journal(tmp_path / "a.journal", FACTS)
    for i in range(200):
        journal.append(create(str(i)))
    journal.close()
    content = bytearray(journal.path.read_bytes())
    content[2000:] = bytes(len(content) - 2000)
    journal.path.write_bytes(content)
    with pytest.raises(JournalError):
        read_all(Journal(journal.path))


def test_folder_that_cannot_be_made_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("MER_JOURNAL_ROOT", str(tmp_path / "file" / "journals"))
    with pytest.raises(ParameterError, match=r"journals: cannot be used .*set MER_JOURNAL_ROOT"):
        journal_root()


def test_journal_of_another_program_is_refused(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "a.journal") as database:
        database.execute("CREATE TABLE facts (key, value)")
    database.close()
    with pytest.raises(JournalError, match="no such table"):
        Journal(tmp_path / "a.journal")
