"""What all entry points do alike: exit codes, one line for what a user can mend, signals."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mer_mlflow.commands.command import run_command
from mer_mlflow.errors import ParameterError, UndeliveredError

ROOT = Path(__file__).parents[2]
STUBBORN = """
import time
from mer_mlflow.commands.command import run_command

def work():
    try:
        print("at work", flush=True)
        for _ in range(600):  # a signal right before a sleep is handled after it
            time.sleep(0.1)
    finally:
        time.sleep(0.5)
        print("in order", flush=True)

run_command(work)
"""

DRAWING = """
{first}from mer_mlflow.commands.command import run_command

def draw():
    from matplotlib.figure import Figure

    figure = Figure()
    figure.subplots().plot([1, 2], label="macro F1")
    figure.savefig("drawn.svg", format="svg", metadata={{"Date": None}})
    return 0

run_command(draw)
"""


@pytest.fixture(autouse=True)
def own_handlers() -> Iterator[None]:
    """Give the signals back, which commands take for the rest of their process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


def failing(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (ParameterError("folds=1: too few"), 2, "error: folds=1: too few\n"),
        (UndeliveredError("3 writes wait"), 3, "error: 3 writes wait\n"),
        (
            OSError(errno.ENOSPC, "No space left on device", "/full/file"),
            2,
            "error: /full/file: No space left on device; free disk space and give the same command "
            "again\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted: give the same command again to continue\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(
    error: BaseException, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        run_command(failing(error))
    assert stop.value.code == code
    assert capsys.readouterr().err == words


def test_bug_keeps_its_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        run_command(failing(ZeroDivisionError()))


def test_signals_that_come_together_are_one_interruption() -> None:
    """Ctrl-C comes from the terminal, and at once again from ``mlflow run``."""
    process = subprocess.Popen(
        [sys.executable, "-c", STUBBORN],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "at work\n"
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGTERM):
            os.kill(process.pid, number)
        said, complained = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert said == "in order\n"
    assert complained == "interrupted: give the same command again to continue\n"
    assert process.returncode == 130


def test_output_that_nobody_reads_any_more_ends_a_command_without_a_traceback() -> None:
    code = "from mer_mlflow.commands.command import run_command\n"
    code += "run_command(lambda: [print(i, flush=True) for i in range(100_000)] and 0)"
    process = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline() == b"0\n"
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) == 141


def test_another_broken_pipe_is_no_end_of_the_output() -> None:
    def fail() -> int:
        raise BrokenPipeError("of a socket")

    with pytest.raises(BrokenPipeError, match="of a socket"):
        run_command(fail)


@pytest.mark.parametrize("first", ["", "import matplotlib\n"], ids=["late", "early"])
def test_a_matplotlibrc_does_not_change_figures(first: str, tmp_path: Path) -> None:
    drawn = []
    for style in ("", "text.usetex: True\nfont.size: 40\n"):
        (tmp_path / "matplotlibrc").write_text(style)
        subprocess.run(
            [sys.executable, "-c", DRAWING.format(first=first)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT), "SOURCE_DATE_EPOCH": "0"},
            check=True,
        )
        content = (tmp_path / "drawn.svg").read_text()
        drawn.append(re.sub(r"[a-z]\w*[0-9a-f]{10}", "", content))  # random names of clip paths
    assert drawn[0] == drawn[1]
