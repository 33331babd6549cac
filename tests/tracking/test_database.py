"""Local databases: whoever makes them and whenever it is stopped, the next command works."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.store.db.utils import _initialize_tables, create_sqlalchemy_engine
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy import event
from sqlalchemy.exc import SQLAlchemyError

from mer_mlflow.errors import TrackingError
from mer_mlflow.mlflow_store import open_store
from mer_mlflow.tracking import check_store, database
from mer_mlflow.tracking.database import (
    Schema,
    database_file,
    mlflow_schema,
    prepare_database,
    refuse_foreign,
)
from mer_mlflow.tuning.study import SCHEMA as OPTUNA

ROOT = Path(__file__).parents[2]
SMALL = Schema(
    make=lambda url: make_small(url, n_tables=3),
    is_complete=lambda database: count_tables(database) == 3,
    own_rows={"t0": "n = 0"},
    library="Small",
    upgrade="small upgrade",
    setting="MER_SMALL",
)


def make_small(url: str, *, n_tables: int, rows: tuple[int, ...] = (0,)) -> None:
    file = database_file(url)
    assert file is not None
    with contextlib.closing(sqlite3.connect(file)) as opened, opened:
        for i in range(n_tables):
            opened.execute(f"CREATE TABLE t{i} (n INTEGER)")
        opened.executemany("INSERT INTO t0 VALUES (?)", [(row,) for row in rows])


def count_tables(opened: sqlite3.Connection) -> int:
    return int(opened.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "QUIET_SECONDS", 0.2)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.05)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


class Stopped(BaseException):
    """As a process that ends."""


@contextlib.contextmanager
def stop_after(engine: Any, n_statements: int) -> Iterator[None]:
    left = [n_statements]

    def count(*_: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Stopped

    event.listen(engine, "before_cursor_execute", count)
    with contextlib.suppress(Stopped, SQLAlchemyError):  # alembic's own repairs are stopped too
        yield
    engine.dispose()


def stop_mlflow(url: str, *, n_statements: int) -> None:
    engine = create_sqlalchemy_engine(url)
    with stop_after(engine, n_statements):
        _initialize_tables(engine)


def assert_usable(url: str) -> None:
    store = SqlAlchemyStore(url, "artifacts")
    try:
        run = store.create_run("0", "ada", 0, [], "name")
        assert store.get_run(run.info.run_id).info.status == "RUNNING"
    finally:
        store.engine.dispose()
        SqlAlchemyStore._engine_map.pop(url)


@pytest.mark.parametrize("n_statements", [14, 50, 600])
def test_database_that_mlflow_left_incomplete_is_made_anew(
    tmp_path: Path, url: str, n_statements: int, capsys: pytest.CaptureFixture[str]
) -> None:
    stop_mlflow(url, n_statements=n_statements)
    prepare_database(url, mlflow_schema())
    assert names(tmp_path) == {"a.db", "a.db.broken"}
    words = f"{tmp_path / 'a.db'}: MLflow was stopped while it created the tables, which "
    assert capsys.readouterr().out.startswith(words)
    assert_usable(url)
    prepare_database(url, mlflow_schema())
    assert names(tmp_path) == {"a.db", "a.db.broken"}


def test_check_store_heals_what_mlflow_cannot_use(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_mlflow(url, n_statements=50)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    check_store()
    assert len(MlflowClient().search_experiments()) == 1


def test_interruption_leaves_no_database_at_all(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(address: str) -> None:
        stop_mlflow(address, n_statements=100)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepare_database(url, replace(mlflow_schema(), make=interrupted))
    assert names(tmp_path) == set()
    prepare_database(url, mlflow_schema())
    assert_usable(url)


def test_rest_of_a_killed_process_is_removed(tmp_path: Path, url: str) -> None:
    make_small(f"sqlite:///{tmp_path / 'a.db.new'}", n_tables=2)
    (tmp_path / "a.db.new-journal").write_bytes(b"")
    (tmp_path / "a.db.lock").write_bytes(b"")
    prepare_database(url, SMALL)
    assert names(tmp_path) == {"a.db"}


@pytest.mark.parametrize("n_tables", [1, 2])
def test_rows_of_the_user_are_never_moved(tmp_path: Path, url: str, n_tables: int) -> None:
    make_small(url, n_tables=n_tables, rows=(0, 1))
    before = (tmp_path / "a.db").read_bytes()
    words = "a.db: its tables are not those of this Small version.* 't0' has rows.*`small upgrade "
    with pytest.raises(TrackingError, match=words):
        prepare_database(url, SMALL)
    assert (tmp_path / "a.db").read_bytes() == before
    assert names(tmp_path) == {"a.db"}


def test_runs_in_an_older_database_of_mlflow_stay(tmp_path: Path, url: str) -> None:
    prepare_database(url, mlflow_schema())
    assert_usable(url)
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as opened, opened:
        opened.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
    with pytest.raises(TrackingError, match=f"'runs' has rows; copy .* `mlflow db upgrade {url}`"):
        prepare_database(url, mlflow_schema())
    assert names(tmp_path) == {"a.db"}


def test_earlier_moved_database_is_not_replaced(tmp_path: Path, url: str) -> None:
    for i in range(3):
        make_small(url, n_tables=1)
        prepare_database(url, SMALL)
        (tmp_path / "a.db").rename(tmp_path / f"made {i}")
    assert {"a.db.broken", "a.db.broken2", "a.db.broken3"} <= names(tmp_path)


def test_empty_file_is_replaced(tmp_path: Path, url: str) -> None:
    (tmp_path / "a.db").touch()
    prepare_database(url, SMALL)
    assert names(tmp_path) == {"a.db"}
    make = sqlite3.connect(tmp_path / "a.db")
    assert count_tables(make) == 3
    make.close()


def test_file_that_is_no_database_is_named(tmp_path: Path, url: str) -> None:
    (tmp_path / "a.db").write_text("a letter, long enough to be no header of a database\n" * 9)
    with pytest.raises(TrackingError, match=r"a\.db: cannot be used as a database .*not a data"):
        prepare_database(url, SMALL)
    assert (tmp_path / "a.db").read_text().startswith("a letter")


def test_first_commands_at_once_make_one_database(tmp_path: Path, url: str) -> None:
    made: list[str] = []

    def make(address: str) -> None:
        made.append(address)
        time.sleep(0.1)
        make_small(address, n_tables=3)

    schema = replace(SMALL, make=make)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: prepare_database(url, schema), range(8)))
    assert len(made) == 1
    assert names(tmp_path) == {"a.db"}


def test_database_that_appears_meanwhile_is_kept(tmp_path: Path, url: str) -> None:
    """MLflow's own server knows nothing of the lock."""

    def make(address: str) -> None:
        make_small(url, n_tables=3, rows=(0, 7))
        make_small(address, n_tables=3)

    prepare_database(url, replace(SMALL, make=make))
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as opened:
        assert opened.execute("SELECT n FROM t0").fetchall() == [(0,), (7,)]
    assert names(tmp_path) == {"a.db"}


def test_process_that_is_making_tables_in_place_is_waited_for(tmp_path: Path, url: str) -> None:
    make_small(url, n_tables=1)

    def go_on() -> None:
        for i in (1, 2):
            time.sleep(0.12)
            with contextlib.closing(sqlite3.connect(tmp_path / "a.db", timeout=5)) as opened:
                opened.execute(f"CREATE TABLE t{i} (n INTEGER)")

    other = threading.Thread(target=go_on)
    other.start()
    prepare_database(url, SMALL)
    other.join()
    assert names(tmp_path) == {"a.db"}


def test_missing_folders_are_made(tmp_path: Path) -> None:
    prepare_database(f"sqlite:///{tmp_path / 'b' / 'c' / 'a.db'}", SMALL)
    assert names(tmp_path / "b" / "c") == {"a.db"}


def test_place_where_no_file_can_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(TrackingError, match=r"a\.db: no database can be created there \("):
        prepare_database(f"sqlite:///{tmp_path / 'file' / 'a.db'}", SMALL)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("sqlite:////a/b%20c.db?timeout=5", "/a/b c.db"),
        ("sqlite+pysqlite:///a.db", "a.db"),
        ("sqlite://", None),
        ("sqlite:///:memory:", None),
        ("sqlite:///file:a?uri=true", None),
        ("postgresql://host/base", None),
        ("http://host:5000", None),
        ("mlruns", None),
        ("", None),
    ],
)
def test_only_files_of_sqlite_are_looked_at(url: str, expected: str | None) -> None:
    assert database_file(url) == (None if expected is None else Path(expected))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(path, check_same_thread=False)) as opened:
        opened.execute("BEGIN EXCLUSIVE")
        yield opened


def test_locked_database_is_waited_for(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare_database(url, SMALL)
    with locked(tmp_path / "a.db") as opened:
        threading.Timer(0.6, opened.rollback).start()
        prepare_database(url, SMALL)
    words = (
        f"waiting for {tmp_path / 'a.db'}: another process keeps the database locked (at most 600"
    )
    assert [line[: len(words)] for line in capsys.readouterr().out.splitlines()] == [words]


def test_database_that_stays_locked_is_named(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_database(url, SMALL)
    monkeypatch.setenv("MER_TRACKING_PATIENCE", "0.5")
    words = r"a\.db: another process keeps the database locked; end that process, or wait for it"
    with locked(tmp_path / "a.db"), pytest.raises(TrackingError, match=words):
        prepare_database(url, SMALL)


def stop_optuna(url: str, n_tables: int) -> None:
    from optuna.storages._rdb.models import BaseModel

    engine = create_sqlalchemy_engine(url)
    with stop_after(engine, 10**9):
        BaseModel.metadata.create_all(engine, tables=BaseModel.metadata.sorted_tables[:n_tables])


@pytest.mark.parametrize("n_tables", [1, 5, 14])
def test_storage_that_optuna_left_incomplete_is_made_anew(
    tmp_path: Path, url: str, n_tables: int
) -> None:
    import optuna

    stop_optuna(url, n_tables)
    prepare_database(url, OPTUNA)
    assert names(tmp_path) == {"a.db", "a.db.broken"}
    optuna.create_study(storage=url, study_name="s")
    prepare_database(url, OPTUNA)
    assert optuna.get_all_study_names(url) == ["s"]


@pytest.mark.parametrize("spelled", ["sqlite:///{}", "sqlite:///file:{}?uri=true"])
def test_mlflow_store_is_no_storage_of_optuna(tmp_path: Path, url: str, spelled: str) -> None:
    prepare_database(url, mlflow_schema())
    assert_usable(url)
    before = (tmp_path / "a.db").read_bytes()
    words = r"has the tables of MLflow, .* name another database by storage= or MER_OPTUNA_STORAGE"
    with pytest.raises(TrackingError, match=words):
        prepare_database(spelled.format(tmp_path / "a.db"), OPTUNA)
    assert (tmp_path / "a.db").read_bytes() == before


def test_storage_of_optuna_is_no_mlflow_store(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare_database(url, OPTUNA)
    before = (tmp_path / "a.db").read_bytes()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", url)
    words = r"has the tables of Optuna, .* name another database by MLFLOW_TRACKING_URI"
    with pytest.raises(TrackingError, match=words):
        check_store()
    assert (tmp_path / "a.db").read_bytes() == before


@pytest.mark.parametrize(
    ("revision", "own", "other"),
    [("v3.2.0.a", OPTUNA, mlflow_schema()), ("1b5f0d9ad7c1", mlflow_schema(), OPTUNA)],
)
def test_version_says_whose_database_is_that_has_tables_of_both(
    url: str, tmp_path: Path, revision: str, own: Schema, other: Schema
) -> None:
    names = ("experiments", "runs", "studies", "trials")
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db")) as opened, opened:
        for name in names:
            opened.execute(f"CREATE TABLE {name} (n INTEGER)")
        opened.execute("CREATE TABLE alembic_version (version_num TEXT)")
        opened.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    refuse_foreign(url, own)
    with pytest.raises(TrackingError, match=f"has the tables of {own.library}"):
        refuse_foreign(url, other)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "file:./mlruns", "nonsense", "sqlite://"])
def test_what_is_no_database_is_nobodys(url: str) -> None:
    refuse_foreign(url, OPTUNA)
    refuse_foreign(url, mlflow_schema())


def test_plugin_opens_what_mlflow_left_incomplete(tmp_path: Path, url: str) -> None:
    stop_mlflow(url, n_statements=50)
    store = open_store(url, str(tmp_path / "artifacts"))
    assert [each.name for each in store.search_experiments()] == ["Default"]


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """Environment of a process in which MLflow finds the plugins that pyproject.toml declares."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    folder = tmp_path / "site" / "mer_plugin-1.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: mer_plugin\nVersion: 1\n")
    lines = [
        line
        for group, entries in declared.items()
        for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
    ]
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return {**os.environ, "PYTHONPATH": f"{folder.parent}{os.pathsep}{ROOT}"}


def test_mlflow_itself_makes_a_database_whole(
    tmp_path: Path, url: str, installed: dict[str, str]
) -> None:
    stop_mlflow(url, n_statements=50)
    done = subprocess.run(
        [sys.executable, "-m", "mlflow", "experiments", "search"],
        env={**installed, "MLFLOW_TRACKING_URI": url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "moved to a.db.broken, and created again" in done.stdout
    assert "Default" in done.stdout
