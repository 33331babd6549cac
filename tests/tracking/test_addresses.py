"""Addresses of databases: the same one is recognised however it is written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from mer_mlflow.tracking.addresses import database_path, is_same_database


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with a file, links to it and a link to a folder, from which relative paths start."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "a.db").touch()
    (tmp_path / "b.db").touch()
    (tmp_path / "symbolic.db").symlink_to("a.db")
    os.link(tmp_path / "a.db", tmp_path / "hard.db")
    (tmp_path / "dangling.db").symlink_to("new.db")
    (tmp_path / "linked").symlink_to("sub")
    (tmp_path / "sub" / "up.db").symlink_to("../a.db")
    monkeypatch.chdir(tmp_path)
    for name in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGOPTIONS", "PGSERVICE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("sqlite:///a.db", "sqlite:///{here}/a.db"),
        ("sqlite:///a.db", "sqlite:///./sub/../a.db"),
        ("sqlite:///a.db", "sqlite+pysqlite:///a.db?timeout=5"),
        ("sqlite:///a.db", "sqlite:///symbolic.db"),
        ("sqlite:///a.db", "sqlite:///hard.db"),
        ("sqlite:///a.db", "sqlite:///linked/up.db"),
        ("sqlite:///a.db", "sqlite:////{here}/a.db"),
        ("sqlite:///a.db", "sqlite:///file:a.db?uri=true"),
        ("sqlite:///a.db", "sqlite:///file://{here}/%61.db?mode=rw&uri=true"),
        ("sqlite:///new.db", "sqlite:///{here}/new.db"),
        ("sqlite:///new.db", "sqlite:///dangling.db"),
        ("sqlite:///sub/new.db", "sqlite:///linked/new.db"),
        ("postgresql://db/runs", "postgresql+psycopg2://user:secret@DB:5432/runs?sslmode=require"),
        ("postgres://db/runs", "postgresql+psycopg://other:word@db./runs?connect_timeout=5"),
        ("postgresql://db/runs", "postgresql:///runs?host=db&port=5432"),
        ("postgresql://db/runs", "postgresql:///?host=db&dbname=runs"),
        ("postgresql://db/runs", "postgresql://db/runs?options=-c%20statement_timeout%3D5"),
        ("postgresql://localhost/runs", "postgresql+asyncpg://127.0.0.1/runs"),
        ("postgresql:///runs", "postgresql://[::1]:5432/runs"),
        ("postgresql://runs@db", "postgresql://db/runs"),
        ("mysql://db/runs", "mariadb+pymysql://user@db:3306/runs?charset=utf8mb4"),
        ("mssql+pyodbc://db/runs", "mssql+pymssql://db:1433/runs"),
    ],
)
def test_same_database_is_recognised(url: str, other: str, place: Path) -> None:
    url, other = url.format(here=place), other.format(here=place)
    assert is_same_database(url, other) and is_same_database(other, url)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("sqlite:///a.db", "sqlite:///b.db"),
        ("sqlite:///a.db", "sqlite:///sub/a.db"),
        ("sqlite:///new.db", "sqlite:///newer.db"),
        ("sqlite://", "sqlite://"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("sqlite:///a.db", "postgresql:///a.db"),
        ("postgresql://db/runs", "postgresql://db/searches"),
        ("postgresql://db/runs", "postgresql://other/runs"),
        ("postgresql://db/runs", "postgresql://db:5433/runs"),
        ("postgresql://db/runs", "postgresql://db/runs?options=-csearch_path%3Dsearches"),
        ("postgresql:///runs?host=/run/a", "postgresql:///runs?host=/run/b"),
        ("postgresql://db/runs", "mysql://db/runs"),
        ("mssql:///?odbc_connect=a", "mssql:///?odbc_connect=b"),
        ("http://db:5000", "http://db:5000"),
        ("file:./mlruns", "file:./mlruns"),
        ("", ""),
        ("nonsense", "nonsense"),
        ("postgresql://db:port/runs", "postgresql://db:port/runs"),
    ],
)
def test_different_databases_are_not_the_same(url: str, other: str) -> None:
    assert not is_same_database(url, other)


def test_variables_of_postgresql_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.setenv("PGPORT", "5433")
    assert is_same_database("postgresql:///runs", "postgresql://db:5433/runs")
    assert not is_same_database("postgresql://other/runs", "postgresql:///runs")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:////tmp/a.db", "/tmp/a.db"),
        ("sqlite:///file:/tmp/a%20b.db?uri=true", "/tmp/a b.db"),
        ("sqlite:///file:a?mode=memory&uri=true", None),
        ("sqlite:///file::memory:?uri=true", None),
        ("postgresql:///a.db", None),
    ],
)
def test_file_of_an_address(url: str, expected: str | None) -> None:
    assert database_path(url) == (expected if expected is None else Path(expected))
