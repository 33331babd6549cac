"""Journal: a local file of writes that the tracking server has not confirmed yet.

A journal is a sqlite database that is locked by its process. Entries are kept if the process ends,
and an interrupted write leaves no incomplete entry. A journal that is not locked belongs to a
process that has ended. A run's entries are kept until the run has been read back from the server; a
journal without entries is removed.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from mer_mlflow.errors import JournalError
from mer_mlflow.paths import own_folder
from mer_mlflow.tracking.items import File
from mer_mlflow.tracking.writer import Batch

ROOT_VARIABLE = "MER_JOURNAL_ROOT"
SUFFIX = ".journal"
LARGEST = 2**63 - 1
"""Number greater than that of any entry."""
LOOK_SECONDS = 5.0
"""Time to wait for the lock of a new journal: another process may read it for a moment."""
TABLES = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE entries (
    number INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT, content TEXT, run TEXT
);
CREATE TABLE files (number INTEGER, name TEXT, content BLOB);
CREATE INDEX entry_runs ON entries (run);
CREATE INDEX file_numbers ON files (number);
CREATE TABLE runs (run TEXT PRIMARY KEY, number INTEGER, run_id TEXT, is_open INTEGER);
"""


@dataclass(frozen=True, kw_only=True)
class Create:
    """Entry that creates a run; ``run`` is its name until the server has assigned an id."""

    run: str
    experiment_id: str
    name: str
    start_time: int
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Write:
    """Entry that writes to a run."""

    run: str
    batch: Batch


@dataclass(frozen=True, kw_only=True)
class Close:
    """Entry that closes a run; ``tags`` are written last."""

    run: str
    status: str
    end_time: int
    tags: Mapping[str, str]


Entry = Create | Write | Close
KINDS = {"create": Create, "write": Write, "close": Close}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A run that a journal creates, until the server has closed it.

    Attributes
    ----------
    run : its name in the journal
    number : number of the entry that creates it
    run_id : its id, None until the server has created it
    is_open : whether no entry closes it
    """

    run: str
    number: int
    run_id: str | None
    is_open: bool


def journal_root() -> Path:
    """Return the folder of journals, created if needed: ``MER_JOURNAL_ROOT``, else the user's
    state folder.

    Raises
    ------
    ParameterError
        If it cannot be created.
    """
    default = f"{platformdirs.user_state_dir('mer_mlflow')}/journals"
    return own_folder(ROOT_VARIABLE, default, purpose="folder of journals")


def journals(root: Path, *, prefix: str = "") -> Iterator[Path]:
    """Yield the files of journals in a folder, the oldest first.

    Parameters
    ----------
    root : folder returned by :func:`journal_root`
    prefix : prefix of their names
    """
    yield from sorted(root.glob(f"{prefix}*{SUFFIX}"), key=_age)


class Journal:
    """An ordered queue of entries in a file.

    Parameters
    ----------
    path : file of the journal
    seconds : time to wait for the lock

    Raises
    ------
    JournalInUseError
        If another process has locked it.
    JournalGoneError
        If it does not exist.
    JournalError
        If it cannot be read.
    """

    was_left = True
    """Whether another process has written it."""

    def __init__(self, path: Path, *, seconds: float = 0.0) -> None:
        self.path = path
        self._lock = threading.Lock()
        if not path.is_file():
            raise JournalGoneError(f"{path}: no such journal")
        try:
            self._database = _opened(path, seconds)
            self.facts = dict(self._database.execute("SELECT key, value FROM facts"))
            for table in ("entries", "files", "runs"):
                self._database.execute(f"SELECT max(rowid) FROM {table}")  # noqa: S608, constants
            _name_runs(self._database)
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                message = f"{path}: the process that writes this journal is still running"
                raise JournalInUseError(message) from error
            if not path.is_file():  # its process has just removed it
                raise JournalGoneError(f"{path}: no such journal") from error
            raise _damaged(path, error) from error
        except sqlite3.Error as error:
            raise _damaged(path, error) from error

    def append(self, *entries: Entry) -> None:
        """Append entries: all of them, or none if the disk is full.

        Raises
        ------
        JournalError
            If they cannot be written.
        """
        with self._writing() as database:
            for entry in entries:
                _insert(database, entry)

    def after(self, number: int) -> tuple[int, Entry] | None:
        """Return number and content of the entry that follows another one; None if there is none.

        Parameters
        ----------
        number : number of the other entry; 0 for the first entry
        """
        query = "SELECT number, kind, content FROM entries WHERE number > ? ORDER BY number LIMIT 1"
        with self._reading() as database:
            row = database.execute(query, (number,)).fetchone()
            return None if row is None else (row[0], _read(database, *row))

    def writes(self, run: str) -> Iterator[Write]:
        """Yield the writes to a run, in order."""
        query = "SELECT number, kind, content FROM entries WHERE run = ? ORDER BY number"
        with self._reading() as database:
            entries = [_read(database, *row) for row in database.execute(query, (run,)).fetchall()]
        return (entry for entry in entries if isinstance(entry, Write))

    def written_runs(self, *, until: int | None = None) -> tuple[str, ...]:
        """Return the runs with entries, in the order of their first entries.

        Parameters
        ----------
        until : number of an entry; runs with later entries are ignored
        """
        query = "SELECT run FROM entries GROUP BY run HAVING max(number) <= ? ORDER BY min(number)"
        last = LARGEST if until is None else until
        with self._reading() as database:
            return tuple(run for (run,) in database.execute(query, (last,)))

    def experiments(self) -> set[str]:
        """Return the ids of the experiments in which the journal creates runs."""
        with self._reading() as database:
            rows = database.execute("SELECT content FROM entries WHERE kind = 'create'").fetchall()
        return {json.loads(content)["experiment_id"] for (content,) in rows}

    def note_run(self, run: str, run_id: str | None) -> None:
        """Store the id that the server assigned to a run; None to remove it."""
        with self._writing() as database:
            database.execute("UPDATE runs SET run_id = ? WHERE run = ?", (run_id, run))

    def forget(self, run: str) -> None:
        """Remove a delivered run with its entries."""
        with self._writing() as database:
            numbers = "(SELECT number FROM entries WHERE run = ?)"
            database.execute(f"DELETE FROM files WHERE number IN {numbers}", (run,))  # noqa: S608
            database.execute("DELETE FROM entries WHERE run = ?", (run,))
            database.execute("DELETE FROM runs WHERE run = ?", (run,))

    def runs(self) -> tuple[Known, ...]:
        """Return the runs that the journal creates, without removed ones."""
        query = "SELECT run, number, run_id, is_open FROM runs ORDER BY number"
        with self._reading() as database:
            rows = database.execute(query).fetchall()
        return tuple(
            Known(run=run, number=number, run_id=run_id, is_open=bool(is_open))
            for run, number, run_id, is_open in rows
        )

    def __len__(self) -> int:
        """Number of entries."""
        with self._reading() as database:
            return int(database.execute("SELECT count(*) FROM entries").fetchone()[0])

    def close(self) -> None:
        """Close the journal and release its lock."""
        self._database.close()

    def remove(self) -> None:
        """Close and delete the journal, after everything was delivered."""
        self.path.unlink(missing_ok=True)
        self._database.close()
        self.path.with_name(f"{self.path.name}-wal").unlink(missing_ok=True)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                yield self._database
            except sqlite3.Error as error:
                raise _damaged(self.path, error) from error

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            try:
                self._database.execute("BEGIN")
                yield self._database
                self._database.execute("COMMIT")
            except BaseException as error:  # an interruption must not leave half of it either
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _no_room(self.path, error) from error
                raise


class JournalInUseError(JournalError):
    """Another process has locked the journal."""


class JournalGoneError(JournalError):
    """The journal does not exist, or no longer."""


def new_journal(path: Path, facts: Mapping[str, str]) -> Journal:
    """Create a journal.

    Parameters
    ----------
    path : file of the journal
    facts : facts about the journal, by key

    Raises
    ------
    JournalError
        If it cannot be written, or exists already.
    """
    if path.exists():
        raise JournalError(f"{path}: this journal exists already; `mlflow run . -e sync` first")
    draft = path.with_suffix(".new")
    try:
        with contextlib.closing(sqlite3.connect(draft)) as database, database:
            database.executescript(f"BEGIN; {TABLES}")
            database.executemany("INSERT INTO facts VALUES (?, ?)", list(facts.items()))
        draft.replace(path)
    except (sqlite3.Error, OSError) as error:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        raise _no_room(path, error) from error
    journal = Journal(path, seconds=LOOK_SECONDS)
    journal.was_left = False
    return journal


def now() -> int:
    """Return the Unix time [ms]."""
    return int(time.time() * 1000)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except FileNotFoundError:  # its process has just removed it
        return 0.0, path.name


def _opened(path: Path, seconds: float) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",  # do not create it if it was just removed
        uri=True,
        timeout=seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    database.execute("PRAGMA locking_mode=EXCLUSIVE")
    database.execute("PRAGMA journal_mode=WAL")  # a commit need not wait for the disk
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("PRAGMA user_version=1")  # the first write acquires the lock and keeps it
    return database


def _name_runs(database: sqlite3.Connection) -> None:
    """Add the column of runs to a journal of an earlier version."""
    columns = {row[1] for row in database.execute("PRAGMA table_info(entries)")}
    if "run" in columns:
        return
    database.execute("BEGIN")
    database.execute("ALTER TABLE entries ADD COLUMN run TEXT")
    rows = database.execute("SELECT content, number FROM entries").fetchall()
    named = [(json.loads(content)["run"], number) for content, number in rows]
    database.executemany("UPDATE entries SET run = ? WHERE number = ?", named)
    database.execute("COMMIT")


def _no_room(path: Path, error: Exception) -> JournalError:
    return JournalError(
        f"journal {path} cannot be written ({error}); free disk space there, or set "
        f"{ROOT_VARIABLE} to another folder, and give the same command again"
    )


def _damaged(path: Path, error: Exception) -> JournalError:
    if any(word in str(error) for word in ("full", "readonly")):
        return _no_room(path, error)
    return JournalError(
        f"journal {path} cannot be read ({error}); move it away, and folds that only it contains "
        "will be run again"
    )


def _insert(database: sqlite3.Connection, entry: Entry) -> None:
    kind = next(kind for kind, of in KINDS.items() if isinstance(entry, of))
    content = dict(vars(entry))
    files: tuple[File, ...] = ()
    if isinstance(entry, Write):
        content["batch"] = dict(vars(entry.batch))
        files = content["batch"].pop("files")
    inserted = database.execute(
        "INSERT INTO entries (kind, content, run) VALUES (?, ?, ?)",
        (kind, json.dumps(content), entry.run),
    )
    rows = [(inserted.lastrowid, file.name, file.content) for file in files]
    database.executemany("INSERT INTO files VALUES (?, ?, ?)", rows)
    if isinstance(entry, Create):
        row = (entry.run, inserted.lastrowid)
        database.execute("INSERT INTO runs VALUES (?, ?, NULL, 1)", row)
    if isinstance(entry, Close):
        database.execute("UPDATE runs SET is_open = 0 WHERE run = ?", (entry.run,))


def _read(database: sqlite3.Connection, number: int, kind: str, text: str) -> Entry:
    content = json.loads(text)
    if kind != "write":
        entry: Entry = KINDS[kind](**content)
        return entry
    values = content["batch"]
    values["metrics"] = tuple(tuple(each) for each in values["metrics"])
    query = "SELECT name, content FROM files WHERE number = ? ORDER BY rowid"
    files = database.execute(query, (number,)).fetchall()
    found = tuple(File(name=name, content=data) for name, data in files)
    return Write(run=content["run"], batch=Batch(**values, files=found))
