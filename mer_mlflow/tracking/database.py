"""Local sqlite databases of MLflow and Optuna, whose tables are created completely or not at all.

MLflow and Optuna create their tables in many committed steps. If the process ends between two
steps, no command can use the database. Here, tables are created in a temporary file, which is
renamed when they are complete.
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
"""Suffixes of files next to a database."""
BESIDE = ("", "-journal", "-wal", "-shm")
"""Suffixes of sqlite's auxiliary files."""
QUIET_SECONDS = 3.0
"""Time without a change after which no process is assumed to create tables; it is longer than
the time between two steps."""
BUSY_SECONDS = 1.0
"""Time for a write of another process."""
REVISIONS = "alembic_version"
"""Table with the schema version, which both MLflow and Optuna use, so that they cannot share a
database."""
MLFLOW, OPTUNA = "MLflow", "Optuna"
MARKS = {MLFLOW: {REVISIONS, "experiments", "runs"}, OPTUNA: {REVISIONS, "studies", "trials"}}
"""Tables that identify the library of a database."""
OPTUNA_REVISION = "v"
"""Prefix of Optuna's schema versions; MLflow's are hexadecimal numbers."""


@dataclass(frozen=True, kw_only=True)
class Schema:
    """Tables of a library.

    Attributes
    ----------
    make : function that creates them in the database of a URL
    is_complete : function that returns whether a database has all of them
    own_rows : for each table, SQL condition of the rows that the library creates itself
    library : name of the library
    upgrade : command, without the URL, that upgrades the tables of another version
    setting : parameter or variable by which users name the database
    """

    make: Callable[[str], None]
    is_complete: Callable[[sqlite3.Connection], bool]
    own_rows: Mapping[str, str]
    library: str
    upgrade: str
    setting: str


def prepare_database(url: str, schema: Schema) -> None:
    """Create the tables of a local database if necessary, and wait while it is locked.

    A database with incomplete tables is renamed and replaced if it has no data.

    Parameters
    ----------
    url : URL of any database; tables are created only in sqlite files
    schema : its tables

    Raises
    ------
    TrackingError
        If the database belongs to another library, its tables cannot be created, are incomplete
        and contain data, or another process keeps it locked.
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
    """Reject a database that contains the tables of another library.

    Parameters
    ----------
    url : URL of any database; a missing or unavailable one is accepted
    schema : tables that are to be created in it

    Raises
    ------
    TrackingError
        If it belongs to another library, or another process keeps it locked.
    """
    owner = _owner(url)
    if owner not in (None, schema.library):
        raise TrackingError(
            f"{redacted(url)}: has the tables of {owner}, and cannot be shared with "
            f"{schema.library}; name another database by {schema.setting}"
        )


def database_file(url: str) -> Path | None:
    """Return the file of a sqlite database, None for any other database."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        return None
    name = parsed.database
    is_file = parsed.get_backend_name() == "sqlite" and name and not name.startswith(":")
    return Path(name) if is_file and name and not name.startswith("file:") else None


def mlflow_schema() -> Schema:
    """Return the tables of MLflow's tracking store."""
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
    """Return the library of a database's tables; the schema version decides between two."""
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
    """Return the tables of a database server; none if it is unavailable."""
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
    except (SQLAlchemyError, ImportError, ValueError):  # the error is reported when it is opened
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
    """Open a connection to a database that is not locked by another process."""
    _await_unlocked(path)
    with contextlib.closing(_connection(path)) as database:
        yield database


def _connection(path: Path) -> sqlite3.Connection:
    address = f"{path.resolve().as_uri()}?mode=rw"  # does not create a file
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
                f"waiting for {path.resolve()}: {LOCKED} (at most {patience():g} s, see "
                f"{PATIENCE_VARIABLE})",
                flush=True,
            )
        time.sleep(pause)


def _touch(database: sqlite3.Connection) -> None:
    """Acquire the lock, if this process has write permission."""
    try:
        database.execute("BEGIN IMMEDIATE")
    except sqlite3.OperationalError as error:
        if is_locked(error):
            raise
    database.execute("SELECT count(*) FROM sqlite_master")


def _await_quiet(path: Path, schema: Schema) -> None:
    """Wait while another process creates its tables in place."""
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
    """Lock the creation of a database."""
    lock = FileLock(path.with_name(f"{path.name}{LOCK}"))
    with lock:
        try:
            yield
        finally:
            Path(lock.lock_file).unlink(missing_ok=True)


def _make(path: Path, schema: Schema, url: str) -> None:
    draft = path.with_name(f"{path.name}{DRAFT}")
    _remove(draft)  # left by a killed process
    try:
        there = make_url(url).set(database=str(draft))
        schema.make(there.render_as_string(hide_password=False))
        try:
            os.link(draft, path)  # unlike a rename, it never replaces a file of another process
        except FileExistsError:
            return
        except OSError:  # the file system does not support links
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
            f"{path.resolve()}: its tables are not those of this {schema.library} version, or an "
            f"upgrade was interrupted, and '{filled}' has rows; copy the file, then try "
            f"`{schema.upgrade} {redacted(url)}`"
        )
    names = (f"{path.name}{BROKEN}{'' if i == 1 else i}" for i in count(1))
    broken = next(each for each in map(path.with_name, names) if not each.exists())
    for end in BESIDE:
        if (own := path.with_name(path.name + end)).exists():
            own.rename(broken.with_name(broken.name + end))
    print(
        f"{path.resolve()}: {schema.library} was stopped while it created the tables, which have "
        f"no data: moved to {broken.name}, and created again",
        flush=True,
    )


def _filled_table(database: sqlite3.Connection, schema: Schema) -> str | None:
    """Return the name of a table with rows that the library did not create itself."""
    for name in _tables(database):
        own = schema.own_rows.get(name.removeprefix(TEMPORARY), "false")
        query = f'SELECT 1 FROM "{name}" WHERE NOT ({own}) LIMIT 1'  # noqa: S608, constants
        if database.execute(query).fetchone():
            return name
    return None


TEMPORARY = "_alembic_tmp_"
"""Prefix of temporary tables that alembic creates to change others."""


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
        f"{path.resolve()}: no database can be created there ({cause}); free disk space, or name a "
        "file in another folder, and give the same command again"
    )
