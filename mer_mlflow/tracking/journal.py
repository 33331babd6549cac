"""The journal: writes wait in a file until the tracking server has taken them.

A journal is a sqlite database that its process holds locked: what was appended survives the
process, a torn write leaves no half entry, and a journal that can be opened belongs to a process
that has ended. A run's entries stay until the run has been read back from the server; a journal is
removed once it has no entries.
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
"""Number that no entry's is above."""
LOOK_SECONDS = 5.0
"""Another process may look into a journal that was just made: it lets it go at once."""
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
    """A run is made; until it has an id of the server's, ``run`` names it."""

    run: str
    experiment_id: str
    name: str
    start_time: int
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Write:
    """A run carries more."""

    run: str
    batch: Batch


@dataclass(frozen=True, kw_only=True)
class Close:
    """A run ends; ``tags`` are written last."""

    run: str
    status: str
    end_time: int
    tags: Mapping[str, str]


Entry = Create | Write | Close
KINDS = {"create": Create, "write": Write, "close": Close}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A run that a journal makes, until the server has closed it.

    Attributes
    ----------
    run : its name in the journal
    number : of the entry that makes it
    run_id : its id, None until the server has made it
    is_open : whether no entry closes it
    """

    run: str
    number: int
    run_id: str | None
    is_open: bool


def journal_root() -> Path:
    """Folder of the journals, made if needed: ``MER_JOURNAL_ROOT``, else the user's state folder.

    Raises
    ------
    ParameterError
        If it cannot be made.
    """
    default = f"{platformdirs.user_state_dir('mer_mlflow')}/journals"
    return own_folder(ROOT_VARIABLE, default, purpose="folder of journals")


def journals(root: Path, *, prefix: str = "") -> Iterator[Path]:
    """Files of the journals in a folder, the oldest first.

    Parameters
    ----------
    root : from :func:`journal_root`
    prefix : what their names begin with
    """
    yield from sorted(root.glob(f"{prefix}*{SUFFIX}"), key=_age)


class Journal:
    """Entries in their order, each until it is discarded.

    Parameters
    ----------
    path : file of the journal
    seconds : to wait for another process to let it go

    Raises
    ------
    JournalInUseError
        If a process holds it.
    JournalGoneError
        If it is not there.
    JournalError
        If it cannot be read.
    """

    was_left = True
    """Whether another process wrote it."""

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
                words = f"{path}: the process that writes this journal is at work"
                raise JournalInUseError(words) from error
            if not path.is_file():  # its process has just removed it
                raise JournalGoneError(f"{path}: no such journal") from error
            raise _damaged(path, error) from error
        except sqlite3.Error as error:
            raise _damaged(path, error) from error

    def append(self, *entries: Entry) -> None:
        """Append entries: all of them or, where there is no room, none.

        Raises
        ------
        JournalError
            If they cannot be written.
        """
        with self._writing() as database:
            for entry in entries:
                _insert(database, entry)

    def after(self, number: int) -> tuple[int, Entry] | None:
        """Number and content of the entry that follows another; None where none does.

        Parameters
        ----------
        number : of the other entry; 0 for the first one
        """
        words = "SELECT number, kind, content FROM entries WHERE number > ? ORDER BY number LIMIT 1"
        with self._reading() as database:
            row = database.execute(words, (number,)).fetchone()
            return None if row is None else (row[0], _read(database, *row))

    def writes(self, run: str) -> Iterator[Write]:
        """Writes to a run, in their order."""
        words = "SELECT number, kind, content FROM entries WHERE run = ? ORDER BY number"
        with self._reading() as database:
            entries = [_read(database, *row) for row in database.execute(words, (run,)).fetchall()]
        return (entry for entry in entries if isinstance(entry, Write))

    def written_runs(self, *, until: int | None = None) -> tuple[str, ...]:
        """Runs that have entries, in the order of their first ones.

        Parameters
        ----------
        until : number of an entry; runs that later ones are about are left out
        """
        words = "SELECT run FROM entries GROUP BY run HAVING max(number) <= ? ORDER BY min(number)"
        last = LARGEST if until is None else until
        with self._reading() as database:
            return tuple(run for (run,) in database.execute(words, (last,)))

    def experiments(self) -> set[str]:
        """Ids of the experiments that the journal makes runs in."""
        with self._reading() as database:
            rows = database.execute("SELECT content FROM entries WHERE kind = 'create'").fetchall()
        return {json.loads(content)["experiment_id"] for (content,) in rows}

    def note_run(self, run: str, run_id: str | None) -> None:
        """Keep the id that the server gave a run; None where it has none any more."""
        with self._writing() as database:
            database.execute("UPDATE runs SET run_id = ? WHERE run = ?", (run_id, run))

    def forget(self, run: str) -> None:
        """Forget a run that the server has, with its entries."""
        with self._writing() as database:
            numbers = "(SELECT number FROM entries WHERE run = ?)"
            database.execute(f"DELETE FROM files WHERE number IN {numbers}", (run,))  # noqa: S608
            database.execute("DELETE FROM entries WHERE run = ?", (run,))
            database.execute("DELETE FROM runs WHERE run = ?", (run,))

    def runs(self) -> tuple[Known, ...]:
        """Runs that the journal makes, but for those that it has forgotten."""
        words = "SELECT run, number, run_id, is_open FROM runs ORDER BY number"
        with self._reading() as database:
            rows = database.execute(words).fetchall()
        return tuple(
            Known(run=run, number=number, run_id=run_id, is_open=bool(is_open))
            for run, number, run_id, is_open in rows
        )

    def __len__(self) -> int:
        """Number of entries."""
        with self._reading() as database:
            return int(database.execute("SELECT count(*) FROM entries").fetchone()[0])

    def close(self) -> None:
        """Let the journal go."""
        self._database.close()

    def remove(self) -> None:
        """Let the journal go and remove it: everything in it has been taken."""
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
            except BaseException as error:  # an interruption, too, must not leave half of it
                with contextlib.suppress(sqlite3.Error):
                    self._database.execute("ROLLBACK")
                if isinstance(error, sqlite3.Error):
                    raise _no_room(self.path, error) from error
                raise


class JournalInUseError(JournalError):
    """A process holds the journal."""


class JournalGoneError(JournalError):
    """The journal is not there, or no longer."""


def new_journal(path: Path, facts: Mapping[str, str]) -> Journal:
    """Make a journal.

    Parameters
    ----------
    path : file of the journal
    facts : what it is about

    Raises
    ------
    JournalError
        If it cannot be written, or is there already.
    """
    if path.exists():
        raise JournalError(f"{path}: this journal is there already; `mlflow run . -e sync` first")
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
    """Unix time [ms], as MLflow counts it."""
    return int(time.time() * 1000)


def _age(path: Path) -> tuple[float, str]:
    try:
        return path.stat().st_mtime, path.name
    except FileNotFoundError:  # its process has just removed it
        return 0.0, path.name


def _opened(path: Path, seconds: float) -> sqlite3.Connection:
    database = sqlite3.connect(
        f"{path.resolve().as_uri()}?mode=rw",  # or it would be made where it has just gone
        uri=True,
        timeout=seconds,
        isolation_level=None,
        check_same_thread=False,
    )
    database.execute("PRAGMA locking_mode=EXCLUSIVE")
    database.execute("PRAGMA journal_mode=WAL")  # a commit need not wait for the disk
    database.execute("PRAGMA synchronous=NORMAL")
    database.execute("PRAGMA user_version=1")  # the first write takes the lock, and keeps it
    return database


def _name_runs(database: sqlite3.Connection) -> None:
    """Let the entries that an earlier version wrote name their runs in a column, too."""
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
        f"journal {path} cannot be written ({error}); free disk space there, or set {ROOT_VARIABLE} to "
        "another folder, and give the same command again"
    )


def _damaged(path: Path, error: Exception) -> JournalError:
    if any(word in str(error) for word in ("full", "readonly")):
        return _no_room(path, error)
    return JournalError(
        f"journal {path} cannot be read ({error}); move it away, and folds that only it has will "
        "be run again"
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
    words = "SELECT name, content FROM files WHERE number = ? ORDER BY rowid"
    files = database.execute(words, (number,)).fetchall()
    found = tuple(File(name=name, content=data) for name, data in files)
    return Write(run=content["run"], batch=Batch(**values, files=found))
