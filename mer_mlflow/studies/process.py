"""Running one command of a study in a process of its own, which may fail or crash alone."""

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

STOP_SECONDS = 60.0
"""Time that a process gets to close its runs before it is killed."""
LAST_LINES = 50
TELLING = ("error: ", "incomplete: ")
"""How the commands begin the line that says why they end."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a process ended.

    Attributes
    ----------
    code : exit code, negative where a signal ended it
    seconds : that it took
    reason : what it said at the end, one line
    """

    code: int
    seconds: float
    reason: str


def run_process(command: Sequence[str], *, prefix: str, environment: Mapping[str, str]) -> Outcome:
    """Run a command to its end and pass its output through, each line with a prefix.

    Whatever ends the wait stops the process first, by the signal that lets it close its runs. It
    has a session of its own, so that Ctrl-C reaches it once, from here, and so that nothing it
    started outlives it.

    Parameters
    ----------
    command : program and arguments
    prefix : of each line
    environment : of the process
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
        code = process.wait()
    except BaseException:
        _stop(process)
        raise
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        reader.join(timeout=5)
    return Outcome(code=code, seconds=time.monotonic() - start, reason=_reason(code, last))


def _pass_on(stream: IO[str], prefix: str, last: deque[str]) -> None:
    with stream:
        for line in stream:
            with contextlib.suppress(OSError):  # nobody listens: the process must not wait for us
                print(f"{prefix}{line.rstrip()}", flush=True)
            if line.strip():
                last.append(line.strip())


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
        process.wait(STOP_SECONDS)


def _reason(code: int, last: Sequence[str]) -> str:
    if code < 0:
        return f"its process was ended by signal {-code} ({signal.strsignal(-code)})"
    found = [line for line in last if line.startswith(TELLING)] or list(last)
    words = found[-1].removeprefix(TELLING[0]) if found else "it said nothing"
    return f"exit code {code}: {words}" if code else ""
