"""Common behaviour of all commands: signals, errors, exit codes."""

from __future__ import annotations

import contextlib
import math
import os
import re
import select
import signal
import sys
import time
from collections.abc import Callable
from io import TextIOWrapper
from types import FrameType
from typing import NoReturn

from mer_mlflow.access import (
    LOCAL_PAGES,
    experiment_page,
    pages_address,
    redacted,
    refusal,
    run_page,
)
from mer_mlflow.arithmetic import PORTABLE, STARTED, NotInEffectError, environment
from mer_mlflow.deletions import deletion
from mer_mlflow.errors import ClusterError, MerError, UndeliveredError
from mer_mlflow.paths import FULL
from mer_mlflow.scratch import remove_abandoned
from mer_mlflow.terminal import guard_output

TOGETHER_SECONDS = 2.0
OK, BAD_INPUT, INCOMPLETE, INTERRUPTED, CLOSED_PIPE = 0, 2, 3, 130, 141
STDOUT = 1
RANDOM_NAME = re.compile(r"[a-z]+-[a-z]+-\d+")
"""Names that MLflow gives to runs."""


def run_command(command: Callable[[], int]) -> None:
    """Run a command and exit with its code.

    A user's error gives one line on stderr and code 2; undelivered results and a lost
    cluster give code 3; an
    interruption (Ctrl-C, SIGTERM) gives code 130. A command that needs portable arithmetic is
    restarted in the same process, because libraries read the environment variables when they are
    loaded.

    Parameters
    ----------
    command : function that returns the exit code
    """
    interruption = _Interruption()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # ignored in background jobs of scripts
            signal.signal(number, interruption)
    if isinstance(sys.stdout, TextIOWrapper):  # file names may be invalid UTF-8
        sys.stdout.reconfigure(errors="backslashreplace")
    guard_output()
    _use_default_style()
    remove_abandoned()
    try:
        code = command()
    except NotInEffectError as error:
        if STARTED not in os.environ:
            _restart()
        _print_error(f"error: {error}")
        code = BAD_INPUT
    except MerError as error:
        _print_error(f"error: {error}")
        code = INCOMPLETE if isinstance(error, UndeliveredError | ClusterError) else BAD_INPUT
    except KeyboardInterrupt:
        _print_error("interrupted: give the same command again to continue")
        code = INTERRUPTED
    except BrokenPipeError:
        if not _is_closed(STDOUT):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), STDOUT)  # for the rest of the output
        code = CLOSED_PIPE
    except Exception as error:
        message = refusal(error) or deletion(error) or _full_disk(error)
        if message is None:
            raise
        _print_error(f"error: {message}")
        code = BAD_INPUT
    sys.exit(code)


def _is_closed(descriptor: int) -> bool:
    """Return whether a pipe has lost its reader, such as `head`."""
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(state & select.POLLERR for _, state in poll.poll(0))


def _use_default_style() -> None:
    """Use matplotlib's default style, because a user's matplotlibrc may require LaTeX."""
    import matplotlib as mpl

    mpl.rcdefaults()


def _restart() -> NoReturn:
    sys.stdout.flush()
    command = [sys.executable, *sys.orig_argv[1:]]
    os.execve(sys.executable, command, environment(PORTABLE))  # noqa: S606, the same command


def _full_disk(error: Exception) -> str | None:
    """Return a message about a full disk; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in FULL:
        return None
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; free disk space and give the same command again"


def _print_error(message: str) -> None:
    sys.stdout.flush()  # in a combined log, the error must be the last line
    print(message, file=sys.stderr, flush=True)


class _Interruption:
    """Signal handler that raises ``KeyboardInterrupt`` once for simultaneous signals.

    This process gets the signal of Ctrl-C from the terminal, and again from ``mlflow run``. The
    second signal must not interrupt the cleanup after the first.
    """

    def __init__(self) -> None:
        self._last = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        before, self._last = self._last, time.monotonic()
        if self._last - before > TOGETHER_SECONDS:
            raise KeyboardInterrupt


def name_run(name: str) -> None:
    """Set the name of the run created by ``mlflow run``, for a command that records nothing."""
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return
    from mlflow import MlflowClient

    from mer_mlflow.tracking import check_store

    check_store()
    MlflowClient().update_run(run_id, name=name)


def name_refused(command: str) -> None:
    """Name the run that ``mlflow run`` has created for a command whose parameters are refused.

    A command that has begun has named it already. The refusal itself is not hidden by a store
    that is not available.
    """
    run_id = os.environ.get("MLFLOW_RUN_ID")
    if not run_id:
        return
    from mlflow import MlflowClient

    from mer_mlflow.tracking.outage import without_client_retries

    with contextlib.suppress(Exception), without_client_retries():
        client = MlflowClient()
        if RANDOM_NAME.fullmatch(client.get_run(run_id).info.run_name or ""):
            client.update_run(run_id, name=f"{command}: refused parameters")


def print_where(run_id: str, experiment_id: str, *, view: str = "") -> None:
    """Print the address of a run, or how to open it, and that of a saved view of its experiment."""
    import mlflow

    uri = redacted(mlflow.get_tracking_uri())
    is_local = not uri.startswith("http")
    address = LOCAL_PAGES if is_local else pages_address(uri)
    first = f"`make ui` (store: {uri}), then " * is_local
    print(f"look at it: {first}{run_page(address, experiment_id, run_id)}")
    if view:
        print(f"{view}: {experiment_page(address, experiment_id, view=view)}")
