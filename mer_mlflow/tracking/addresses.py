"""Comparison of addresses of databases."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

SQLITE, POSTGRESQL = "sqlite", "postgresql"
BACKENDS = {"postgres": POSTGRESQL, "mariadb": "mysql"}
"""Alternative names of kinds of servers."""
PORTS = {POSTGRESQL: 5432, "mysql": 3306, "mssql": 1433, "oracle": 1521}
LOCAL_HOSTS = ("", "127.0.0.1", "::1", "0.0.0.0")  # noqa: S104, not a listening address
SEARCH_PATH = re.compile(r"search_path\s*=\s*(\S+)")


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Location of a database on a server, without user and driver."""

    backend: str
    host: str
    port: str
    database: str
    schema: str
    connection: str


def database_path(url: str) -> Path | None:
    """Return the file of a sqlite database, also given as a URI; None for any other database."""
    parsed = _parsed(url)
    if parsed is None or parsed.get_backend_name() != SQLITE or not parsed.database:
        return None
    name = parsed.database
    if name.startswith("file:"):
        name = unquote(urlsplit(name).path)
    is_memory = name.startswith(":") or parsed.query.get("mode") == "memory"
    return None if is_memory or not name else Path(name)


def is_same_database(url: str, other: str) -> bool:
    """Return whether two addresses name the same database, without connecting to it.

    Paths may be relative, absolute or links; drivers, users, passwords and default ports are
    ignored.

    Parameters
    ----------
    url, other : addresses; the result is False if one is not the address of a database
    """
    paths = database_path(url), database_path(other)
    if paths[0] is not None and paths[1] is not None:
        return _is_same_file(paths[0], paths[1])
    places = _place(url), _place(other)
    return places[0] is not None and places[0] == places[1]


def with_driver(url: str) -> str:
    """Add the installed PostgreSQL driver to a URL without a driver."""
    scheme, separator, rest = url.partition("://")
    is_open = scheme in ("postgresql", "postgres")
    return f"postgresql+psycopg{separator}{rest}" if is_open else url


def _is_same_file(path: Path, other: Path) -> bool:
    try:
        return path.samefile(other)
    except (OSError, ValueError):  # one of them does not exist yet
        return os.path.realpath(path) == os.path.realpath(other)


def _parsed(url: str) -> URL | None:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        return None


def _place(url: str) -> _Place | None:
    parsed = _parsed(url)
    backend = "" if parsed is None else parsed.get_backend_name()
    backend = BACKENDS.get(backend, backend)
    if parsed is None or backend not in PORTS:
        return None
    is_postgresql = backend == POSTGRESQL

    def value(name: str, own: object, variable: str) -> str:
        given = parsed.query.get(name, own) or (is_postgresql and os.environ.get(variable)) or ""
        return given if isinstance(given, str) else ",".join(map(str, _several(given)))

    host = value("unix_socket", value("host", parsed.host, "PGHOST"), "")
    user = value("user", parsed.username, "PGUSER")
    database = value("dbname", parsed.database, "PGDATABASE") or user * is_postgresql
    schema = SEARCH_PATH.search(value("options", "", "PGOPTIONS"))
    return _Place(
        backend=backend,
        host="localhost" if host in LOCAL_HOSTS else host.lower().rstrip("."),
        port=value("port", parsed.port, "PGPORT") or str(PORTS[backend]),
        database=database,
        schema=schema[1] if schema else "",
        connection=value("odbc_connect", "", "") + value("service", "", "PGSERVICE"),
    )


def _several(given: object) -> tuple[object, ...]:
    return given if isinstance(given, tuple) else (given,)
