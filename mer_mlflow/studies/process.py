"""Execution of a study's command in a separate process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO

TICK_SECONDS = 0.2
STOP_SECONDS = 60.0
"""Time for a process to close its runs before it is killed."""
LAST_LINES = 50
PREFIXES = ("error: ", "incomplete: ")
"""Prefixes of the line with the reason of a command's failure."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Result of a process.

    Attributes
    ----------
    code : exit code, negative for a signal
    seconds : duration
    reason : reason of a failure, one line
    """

    code: int
    seconds: float
    reason: str


def run_process(
    command: Sequence[str],
    *,
    prefix: str,
    environment: Mapping[str, str],
    stopped: threading.Event | None = None,
) -> Outcome:
    """Run a command, and print its output with a prefix before each line.

    If this process is interrupted, or the event is set, the command is stopped first, by a signal
    that lets it close its runs. The command has a separate session: it gets the signal of Ctrl-C
    only once, from here, and its child processes end with it.

    Parameters
    ----------
    command : program and arguments
    prefix : prefix of each line
    environment : environment variables of the process
    stopped : set from another thread to stop the command, None for no such event
    """
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment) | {"PYTHONUNBUFFERED": "1"},
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    )
    last: deque[str] = deque(maxlen=LAST_LINES)
    assert process.stdout is not None
    reader = threading.Thread(target=_pass_on, args=(process.stdout, prefix, last), daemon=True)
    reader.start()
    try:
        code = _wait(process, stopped or threading.Event())
    except BaseException:
        _stop(process)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        reader.join(timeout=5)
    return Outcome(code=code, seconds=time.monotonic() - start, reason=_reason(code, last))


def _wait(process: subprocess.Popen[str], stopped: threading.Event) -> int:
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(TICK_SECONDS)
        if stopped.is_set():
            _stop(process)
            return -signal.SIGTERM if process.returncode is None else process.returncode


def _pass_on(stream: IO[str], prefix: str, last: deque[str]) -> None:
    with stream:
        for line in stream:
            with contextlib.suppress(OSError):  # stdout is closed: the process must not block
                print(f"{prefix}{line.rstrip()}\n", end="", flush=True)
            if line.strip():
                last.append(line.strip())


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(STOP_SECONDS)


def _reason(code: int, last: Sequence[str]) -> str:
    if code < 0:
        return f"its process was terminated by signal {-code} ({signal.strsignal(-code)})"
    found = [line for line in last if line.startswith(PREFIXES)] or list(last)
    message = found[-1].removeprefix(PREFIXES[0]) if found else "no output"
    return f"exit code {code}: {message}" if code else ""
