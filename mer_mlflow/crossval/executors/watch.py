"""Noticing that a process has stopped working: it is stopped, deadlocked, or waits for a disk.

A process that works uses processor time, even while a long call keeps its other threads from saying
anything. One that uses none for minutes does not work.
"""

from __future__ import annotations

import math
import os
import time

import psutil

from mer_mlflow.errors import ParameterError

SILENCE_VARIABLE = "MER_WORKER_SILENCE"
SILENCE_SECONDS = 120.0
NEGLIGIBLE_SECONDS = 0.05
"""Processor time that a process uses while it only waits."""
LOOKS = 10
"""Checks of a process within the time after which it counts as silent."""
LONGEST_TICK_SECONDS = 2.0


def silence_limit() -> float:
    """Seconds without a sign of life after which a worker is killed: ``MER_WORKER_SILENCE``.

    By default 120; ``inf`` waits without limit.

    Raises
    ------
    ParameterError
        If it is no number, or not above 0.
    """
    text = os.environ.get(SILENCE_VARIABLE) or SILENCE_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds > 0:
        raise ParameterError(f"{SILENCE_VARIABLE}={text}: must be a number of seconds > 0")
    return seconds


class WatchedTime:
    """Seconds in which this process was running.

    While the machine sleeps or this process is stopped, workers are too: such a time counts for
    next to nothing.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._last = time.monotonic()

    def tick(self) -> float:
        """Count the time since the last call, and return all that was counted."""
        now = time.monotonic()
        self.seconds += min(now - self._last, LONGEST_TICK_SECONDS)
        self._last = now
        return self.seconds


class Watch:
    """Checks whether a process and its children still use processor time.

    Parameters
    ----------
    pid : process id
    limit : seconds without processor time after which it counts as silent
    now : time as :class:`WatchedTime` counts it
    """

    def __init__(self, pid: int, *, limit: float, now: float) -> None:
        self._pid = pid
        self._limit = limit
        self._used = _processor_seconds(pid)
        self._last_sign = self._last_look = now

    def note_sign(self, now: float) -> None:
        """Note that the process sent a message."""
        self._last_sign = now

    def is_silent(self, now: float) -> bool:
        """Return whether the process has used no processor time and sent nothing for too long."""
        if now - self._last_look < self._limit / LOOKS:
            return False
        self._last_look = now
        used = _processor_seconds(self._pid)
        if abs(used - self._used) > NEGLIGIBLE_SECONDS:  # less than before where a child ended
            self._used, self._last_sign = used, now
        return now - self._last_sign >= self._limit


def _processor_seconds(pid: int) -> float:
    """Processor time of a process and its children [s]; 0 where there is no such process."""
    seconds = 0.0
    try:
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            times = each.cpu_times()
            seconds += times.user + times.system
    except psutil.Error:
        pass
    return seconds
