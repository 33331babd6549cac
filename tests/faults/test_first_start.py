"""First starts that end while tables are made: the next command works, whoever made them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

N_KILLS = int(os.environ.get("MER_FAULT_KILLS", "1"))
N_STATEMENTS = {"mlflow": 1668, "product": 1668, "optuna": 60}
"""Statements that a first start needs, or more."""
BEGIN = """
import os, signal, sys
from sqlalchemy import Engine, event
left = int(sys.argv[2])
def count(*_):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
event.listen(Engine, "before_cursor_execute", count)
"""
STARTS = {
    "mlflow": "import mlflow; mlflow.MlflowClient(sys.argv[1]).search_experiments()",
    "product": (
        "import mlflow; mlflow.set_tracking_uri(sys.argv[1])\n"
        "from mer_mlflow.tracking import check_store; check_store()"
    ),
    "optuna": "from optuna.storages import RDBStorage; RDBStorage(sys.argv[1])",
}
AGAIN = {
    "mlflow": STARTS["product"],
    "product": STARTS["product"],
    "optuna": (
        "from mer_mlflow.tuning.study import SCHEMA, prepare_database\n"
        "prepare_database(sys.argv[1], SCHEMA)\n"
        "import optuna; optuna.create_study(storage=sys.argv[1])"
    ),
}


def mount(folder: Path, *options: str) -> None:
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", ",".join(options), "none", str(folder)],
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"no small disk can be made here: {done.stderr.strip()}")


@pytest.fixture
def run(start: Callable[..., Any]) -> Callable[..., Any]:
    """Function that runs code on a database to its end, or until it has made some statements."""

    def run(code: str, url: str, *, n_statements: int = 10**9) -> Any:
        return start(url, str(n_statements), code=BEGIN + code).done()

    return run


@pytest.mark.parametrize("who", STARTS)
def test_first_start_may_be_killed_at_any_statement(
    who: str, tmp_path: Path, run: Callable[..., Any]
) -> None:
    draw = random.Random(who)
    for i in range(N_KILLS):
        path = tmp_path / f"{i}.db"
        url = f"sqlite:///{path}"
        n_statements = draw.randrange(N_STATEMENTS[who])
        killed = run(STARTS[who], url, n_statements=n_statements)
        assert killed.returncode == -signal.SIGKILL or who == "optuna", killed.stderr
        assert who != "product" or not path.exists()
        again = run(AGAIN[who], url)
        assert again.returncode == 0, (n_statements, again.stderr)
        rest = {each.name for each in tmp_path.glob(f"{i}.db*")}
        assert {name for name in rest if "broken" not in name} == {f"{i}.db"}, n_statements


@pytest.mark.parametrize("code", ["product", "optuna"])
def test_first_start_on_a_full_disk(code: str, tmp_path: Path, run: Callable[..., Any]) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    mount(folder, "size=96k" if code == "product" else "size=16k")
    try:
        url = f"sqlite:///{folder / 'a.db'}"
        full = run(AGAIN[code], url)
        assert full.returncode == 1
        start_of = (
            f"TrackingError: {folder / 'a.db'}: no database can be created there (database or disk"
        )
        assert full.stderr.splitlines()[-1].partition("errors.")[2].startswith(start_of)
        assert list(folder.iterdir()) == []
        mount(folder, "remount", "size=40m")
        assert run(AGAIN[code], url).returncode == 0
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
