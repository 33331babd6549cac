"""Processes: heard, named when they fail, and stopped so that they can close their runs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from mer_mlflow.studies.process import Outcome, run_process


def run(code: str) -> Outcome:
    return run_process([sys.executable, "-c", code], prefix="svm | ", environment=os.environ)


def test_output_is_passed_through_with_a_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    outcome = run("import sys; print('one'); sys.stdout.flush(); print('zwö', file=sys.stderr)")
    assert (outcome.code, outcome.reason) == (0, "")
    assert capsys.readouterr().out == "svm | one\nsvm | zwö\n"


@pytest.mark.parametrize(
    ("code", "expected", "reason"),
    [
        ("print('error: no such thing'); print('bye'); exit(2)", 2, "exit code 2: no such thing"),
        ("print('incomplete: 3 of 5'); exit(3)", 3, "exit code 3: incomplete: 3 of 5"),
        ("raise ValueError('odd')", 1, "exit code 1: ValueError: odd"),
        ("exit(1)", 1, "exit code 1: no output"),
        (
            "import os; os.kill(os.getpid(), 9)",
            -9,
            "its process was terminated by signal 9 (Killed)",
        ),
    ],
)
def test_ends_are_named(code: str, expected: int, reason: str) -> None:
    outcome = run(code)
    assert (outcome.code, outcome.reason) == (expected, reason)


def test_nothing_outlives_a_process_that_crashed(tmp_path: Path) -> None:
    child = "import subprocess, sys, os; p = subprocess.Popen(['sleep', '60']); "
    outcome = run(f"{child} open({str(tmp_path / 'pid')!r}, 'w').write(str(p.pid)); os.abort()")
    assert outcome.code == -signal.SIGABRT
    pid = int((tmp_path / "pid").read_text())
    deadline = time.monotonic() + 5
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_an_interruption_lets_the_process_close_its_runs(tmp_path: Path) -> None:
    code = f"""
import pathlib, signal, sys, time
def stop(number, frame):
    pathlib.Path({str(tmp_path / "closed")!r}).touch()
    sys.exit(130)
signal.signal(signal.SIGTERM, stop)
pathlib.Path({str(tmp_path / "ready")!r}).touch()
for _ in range(600):  # a signal right before a sleep is handled after it
    time.sleep(0.1)
"""

    def interrupt() -> None:
        while not (tmp_path / "ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(code)
    assert (tmp_path / "closed").exists()
