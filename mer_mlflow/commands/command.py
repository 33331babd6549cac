"""What all entry points do alike: signals, errors, exit codes."""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from mer_mlflow.access import pages_address, redacted, refusal, run_page
from mer_mlflow.arithmetic import PORTABLE, STARTED, NotInEffectError, environment
from mer_mlflow.deletions import deletion
from mer_mlflow.errors import MerError, UndeliveredError
from mer_mlflow.paths import FULL
from mer_mlflow.scratch import remove_left
from mer_mlflow.terminal import guard_output

TOGETHER_SECONDS = 2.0
OK, BAD_INPUT, INCOMPLETE, INTERRUPTED = 0, 2, 3, 130


def run_command(command: Callable[[], int]) -> None:
    """Run a command and exit with its code.

    A user's mistake is one line on stderr and code 2; results that wait for the tracking server are
    code 3; an interruption (Ctrl-C, SIGTERM) is code 130. A command that needs portable arithmetic
    starts again, in the same process, with the variables that libraries read when they are loaded.

    Parameters
    ----------
    command : returns the exit code
    """
    interruption = _Interruption()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as in a script's background
            signal.signal(number, interruption)
    if isinstance(sys.stdout, TextIOWrapper):  # a file's name need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    guard_output()
    _use_default_style()
    remove_left()
    try:
        code = command()
    except NotInEffectError as error:
        if STARTED not in os.environ:
            _start_again()
        _complain(f"error: {error}")
        code = BAD_INPUT
    except MerError as error:
        _complain(f"error: {error}")
        code = INCOMPLETE if isinstance(error, UndeliveredError) else BAD_INPUT
    except KeyboardInterrupt:
        _complain("interrupted: give the same command again to continue")
        code = INTERRUPTED
    except Exception as error:
        words = refusal(error) or deletion(error) or _shortage(error)
        if words is None:
            raise
        _complain(f"error: {words}")
        code = BAD_INPUT
    sys.exit(code)


def _use_default_style() -> None:
    """Draw figures with matplotlib's defaults: a user's matplotlibrc may ask for LaTeX."""
    import matplotlib as mpl

    mpl.rcdefaults()


def _start_again() -> NoReturn:
    sys.stdout.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, environment(PORTABLE))  # noqa: S606, the same command


def _shortage(error: Exception) -> str | None:
    """What to tell a user whose disk is full; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; free disk space and give the same command again"


def _complain(words: str) -> None:
    sys.stdout.flush()  # in a log of both, the last line says how it ended
    print(words, file=sys.stderr, flush=True)


class _Interruption:
    """Raises ``KeyboardInterrupt``, once for signals that come together.

    Ctrl-C reaches this process from the terminal, and again from ``mlflow run``: the second signal
    would end the work of the first, which is to leave everything in order.
    """

    def __init__(self) -> None:
        self._last = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before > TOGETHER_SECONDS:
            raise KeyboardInterrupt


def name_run(name: str) -> None:
    """Name the run that ``mlflow run`` made for a command that keeps nothing in it."""
    from mlflow import MlflowClient

    run_id = os.environ.get("MLFLOW_RUN_ID")
    if run_id:
        MlflowClient().update_run(run_id, name=name)


def print_where(run_id: str, experiment_id: str) -> None:
    """Print how to look at a run."""
    import mlflow

    uri = redacted(mlflow.get_tracking_uri())
    if uri.startswith("http"):
        print(f"look at it: {run_page(pages_address(uri), experiment_id, run_id)}")
    else:
        print(f"look at it: `make ui`, then run {run_id} (store: {uri})")
