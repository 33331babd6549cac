"""Local databases: sqlite files whose tables other libraries make, made whole or not at all.

MLflow and Optuna make their tables in many steps, each of which is kept. A process that ends
between two of them leaves a database that no command can use. Here tables are made in a file beside
the database, which takes its name when they are complete.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from filelock import FileLock
from sqlalchemy import Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from mer_mlflow.access import redacted
from mer_mlflow.errors import TrackingError
from mer_mlflow.tracking.addresses import SQLITE, database_path, with_driver
from mer_mlflow.tracking.outage import LOCKED, PATIENCE_VARIABLE, is_locked, patience, pauses

DRAFT, LOCK, BROKEN = ".new", ".lock", ".broken"
"""Ends of the names of files beside a database."""
BESIDE = ("", "-journal", "-wal", "-shm")
"""Ends of the names of sqlite's own files."""
QUIET_SECONDS = 3.0
"""Time without a change after which no process makes tables any more: it takes that long at most
between two of them."""
BUSY_SECONDS = 1.0
"""Time that other processes need for one of their writes."""
REVISIONS = "alembic_version"
"""Table that MLflow and Optuna both keep the version of their tables in, so that neither can work
in a database of the other."""
MLFLOW, OPTUNA = "MLflow", "Optuna"
MARKS = {MLFLOW: {REVISIONS, "experiments", "runs"}, OPTUNA: {REVISIONS, "studies", "trials"}}
"""Tables by which a library's database is known."""
OPTUNA_REVISION = "v"
"""What Optuna's versions of its tables begin with; MLflow's are hexadecimal numbers."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Tables that a library makes.

    Attributes
    ----------
    make : makes them in the database of a URL
    is_complete : whether a database has all of them
    own_rows : SQL condition of the rows by table that the library writes by itself
    library : name of the library
    upgrade : command, but for the URL, that changes the tables of another version of it
    setting : what users name the database by
    """

    make: Callable[[str], None]
    is_complete: Callable[[sqlite3.Connection], bool]
    own_rows: Mapping[str, str]
    library: str
    upgrade: str
    setting: str


def prepare_database(url: str, schema: Schema) -> None:
    """Make the tables of a local database where there are none, and wait while it is locked.

    A database whose tables were left incomplete is moved aside where nothing was written to it.

    Parameters
    ----------
    url : of any database; tables are made in files of sqlite only
    schema : its tables

    Raises
    ------
    TrackingError
        If the database is another library's, the tables cannot be made, are incomplete and have
        something in them, or if another process keeps the database locked.
    """
    refuse_foreign(url, schema)
    path = database_file(url)
    if path is None or _is_complete(path, schema):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _making(path):
            if path.exists() and not _is_complete(path, schema):
                _await_quiet(path, schema)
            if path.exists() and not _is_complete(path, schema):
                _move_aside(path, schema, url)
            if not path.exists():
                _make(path, schema, url)
    except (OSError, sqlite3.Error, SQLAlchemyError) as error:
        raise _cannot_be_made(path, error) from error


def refuse_foreign(url: str, schema: Schema) -> None:
    """Refuse a database that another library keeps its tables in, before any are made.

    Parameters
    ----------
    url : of any database; one that is not there, or does not answer, is nobody's
    schema : tables that are to be made in it

    Raises
    ------
    TrackingError
        If it is another library's database, or another process keeps it locked.
    """
    owner = _owner(url)
    if owner not in (None, schema.library):
        raise TrackingError(
            f"{redacted(url)}: has the tables of {owner}, beside which {schema.library} "
            f"cannot keep its own; name another database by {schema.setting}"
        )


def database_file(url: str) -> Path | None:
    """File of a sqlite database, None for any other database."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    name = parsed.database
    is_file = parsed.get_backend_name() == "sqlite" and name and not name.startswith(":")
    return Path(name) if is_file and name and not name.startswith("file:") else None


def mlflow_schema() -> Schema:
    """Tables of MLflow's tracking store."""
    return Schema(
        make=_make_mlflow_tables,
        is_complete=_has_mlflow_tables,
        own_rows={
            "alembic_version": "true",
            "experiments": "experiment_id = 0",
            "workspaces": "name = 'default'",
        },
        library=MLFLOW,
        upgrade="mlflow db upgrade",
        setting="MLFLOW_TRACKING_URI",
    )


def _make_mlflow_tables(url: str) -> None:
    from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine

    engine = create_sqlalchemy_engine(url)  # type: ignore[no-untyped-call]
    try:
        _initialize_tables(engine)  # type: ignore[no-untyped-call]
    finally:
        engine.dispose()


def _has_mlflow_tables(database: sqlite3.Connection) -> bool:
    from mlflow.store.db.utils import _get_latest_schema_revision

    tables = _tables(database)
    if "alembic_version" not in tables or any(_is_temporary(name) for name in tables):
        return False
    found = database.execute(ALL_REVISIONS).fetchall()
    return found == [(_get_latest_schema_revision(),)]  # type: ignore[no-untyped-call]


def _owner(url: str) -> str | None:
    """Library whose tables a database has; the version of the tables decides between two."""
    path = database_path(url)
    if path is None:
        found, revisions = _marks_of_server(url)
    elif path.is_file():
        found, revisions = _marks_of_file(path)
    else:
        return None
    owners = [library for library, tables in MARKS.items() if tables <= found]
    if len(owners) > 1:
        is_optuna = any(each.startswith(OPTUNA_REVISION) for each in revisions)
        return OPTUNA if is_optuna else MLFLOW
    return owners[0] if owners else None


def _marks_of_file(path: Path) -> tuple[set[str], list[str]]:
    with _opened(path) as database:
        found = set(_tables(database))
        rows = database.execute(ALL_REVISIONS).fetchall() if REVISIONS in found else []
    return found, [str(each) for (each,) in rows]


def _marks_of_server(url: str) -> tuple[set[str], list[str]]:
    """Tables of a database that a server keeps; none where it does not answer."""
    engine: Engine | None = None
    try:
        if make_url(url).get_backend_name() == SQLITE:  # in memory
            return set(), []
        engine = create_engine(with_driver(url), poolclass=NullPool)
        with engine.connect() as connection:
            has_table = inspect(connection).has_table
            found = {name for tables in MARKS.values() for name in tables if has_table(name)}
            rows = connection.execute(text(ALL_REVISIONS)).all() if REVISIONS in found else []
            return found, [str(each) for (each,) in rows]
    except (SQLAlchemyError, ImportError, ValueError):  # who opens it says what is wrong with it
        return set(), []
    finally:
        if engine is not None:
            engine.dispose()


ALL_REVISIONS = "SELECT version_num FROM alembic_version"


def _is_complete(path: Path, schema: Schema) -> bool:
    if not path.is_file():
        return False
    with _opened(path) as database:
        return schema.is_complete(database)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection to a database that no other process keeps locked."""
    _await_unlocked(path)
    with contextlib.closing(_connection(path)) as database:
        yield database


def _connection(path: Path) -> sqlite3.Connection:
    address = f"{path.resolve().as_uri()}?mode=rw"  # makes no file
    return sqlite3.connect(address, uri=True, timeout=BUSY_SECONDS, isolation_level=None)


def _await_unlocked(path: Path) -> None:
    is_said, end = False, time.monotonic() + patience()
    for pause in pauses():
        try:
            with contextlib.closing(_connection(path)) as database:
                _touch(database)
                return
        except sqlite3.Error as error:
            if not is_locked(error):
                raise _unreadable(path, error) from error
        if time.monotonic() + pause > end:
            raise TrackingError(
                f"{path.resolve()}: {LOCKED}; end that process, or wait for it, and give the same "
                "command again"
            )
        if not is_said:
            is_said = True
            print(
                f"waiting for {path.resolve()}: {LOCKED} (for {patience():g} s at most, see "
                f"{PATIENCE_VARIABLE})",
                flush=True,
            )
        time.sleep(pause)


def _touch(database: sqlite3.Connection) -> None:
    """Do what needs the lock, where this process may write at all."""
    try:
        database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if is_locked(error):
            raise
    database.execute("SELECT count(*) FROM sqlite_master")


def _await_quiet(path: Path, schema: Schema) -> None:
    """Wait as long as another process, which makes its tables in place, is at work."""
    before, since = _signature(path), time.monotonic()
    while time.monotonic() - since < QUIET_SECONDS and not _is_complete(path, schema):
        time.sleep(QUIET_SECONDS / 30)
        if (now := _signature(path)) != before:
            before, since = now, time.monotonic()


def _signature(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@contextlib.contextmanager
def _making(path: Path) -> Iterator[None]:
    """Let one process at a time make a database."""
    lock = FileLock(path.with_name(f"{path.name}{LOCK}"))
    with lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def _make(path: Path, schema: Schema, url: str) -> None:
    draft = path.with_name(f"{path.name}{DRAFT}")
    _remove(draft)  # of a process that was killed
    try:
        there = make_url(url).set(database=str(draft))
        schema.make(there.render_as_string(hide_password=False))
        try:
            os.link(draft, path)  # unlike a rename, it never replaces what another process made
        except FileExistsError:
            return
        except OSError:  # a file system without links
            draft.rename(path)
    finally:
        _remove(draft)


def _remove(draft: Path) -> None:
    for end in BESIDE:
        draft.with_name(draft.name + end).unlink(missing_ok=True)


def _move_aside(path: Path, schema: Schema, url: str) -> None:
    with _opened(path) as database:
        is_empty = not _tables(database)
        filled = None if is_empty else _filled_table(database, schema)
    if is_empty:
        _remove(path)
        return
    if filled is not None:
        raise TrackingError(
            f"{path.resolve()}: its tables are not those of this {schema.library} version, or a "
            f"change of them was interrupted, and '{filled}' has rows; copy the file, then try "
            f"`{schema.upgrade} {redacted(url)}`"
        )
    names = (f"{path.name}{BROKEN}{'' if i == 1 else i}" for i in count(1))
    broken = next(each for each in map(path.with_name, names) if not each.exists())
    for end in BESIDE:
        if (own := path.with_name(path.name + end)).exists():
            own.rename(broken.with_name(broken.name + end))
    print(
        f"{path.resolve()}: {schema.library} was stopped while it made the tables, and nothing "
        f"was written to them: moved to {broken.name}, and made anew",
        flush=True,
    )


def _filled_table(database: sqlite3.Connection, schema: Schema) -> str | None:
    """Name of a table with rows that the library did not write by itself."""
    for name in _tables(database):
        own = schema.own_rows.get(name.removeprefix(TEMPORARY), "false")
        query = f'SELECT 1 FROM "{name}" WHERE NOT ({own}) LIMIT 1'  # noqa: S608, of the schema
        if database.execute(query).fetchone():
            return name
    return None


TEMPORARY = "_alembic_tmp_"
"""What begins the names of tables that alembic makes in order to change others."""


def _is_temporary(table: str) -> bool:
    return table.startswith(TEMPORARY)


def _tables(database: sqlite3.Connection) -> list[str]:
    rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
    return [name for (name,) in rows if not name.startswith("sqlite_")]


def _unreadable(path: Path, error: Exception) -> TrackingError:
    return TrackingError(
        f"{path.resolve()}: cannot be used as a database ({error}); name another file"
    )


def _cannot_be_made(path: Path, error: Exception) -> TrackingError:
    cause = getattr(error, "orig", None) or getattr(error, "strerror", None) or error
    return TrackingError(
        f"{path.resolve()}: no database can be made there ({cause}); free disk space, or name a file "
        "in another folder, and give the same command again"
    )
