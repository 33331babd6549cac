"""Progress of long tasks: a bar in a terminal, occasional lines in a log, both with an ETA."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

from mer_mlflow.terminal import console, guard_output

LINE_SECONDS = 10.0
"""Minimum time between two lines in a log."""


class Advance(Protocol):
    """Function that shows how much is done, and what is being done."""

    def __call__(self, done: int, total: int, /, note: str = "") -> None: ...


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Show the progress of a task.

    Parameters
    ----------
    title : name of the task

    Yields
    ------
    function to call with (done, total) and, optionally, what is being done; nothing is shown while
    total is 0. If the task consists of several that are counted from 1 each, the remaining time is
    that of the current one
    """
    if sys.stdout.isatty():
        with _bar(title) as advance:
            yield advance
    else:
        yield _lines(title)


@contextmanager
def _bar(title: str) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console()) as bar:
        guard_output()  # the bar has replaced the guarded streams
        task = bar.add_task(title, total=None, visible=False, note="")
        last = 0

        def advance(done: int, total: int, /, note: str = "") -> None:
            nonlocal last
            if done < last:  # the next of several tasks
                bar.reset(task)
            last = done
            bar.update(task, completed=done, total=total, visible=True, note=note)

        yield advance


def _lines(title: str) -> Advance:
    start: tuple[float, int] | None = None
    last = seen = time.monotonic()
    n_seen = 0

    def advance(done: int, total: int, /, note: str = "") -> None:
        nonlocal start, last, seen, n_seen
        now = time.monotonic()
        if done < n_seen:  # the next of several tasks
            start = (seen, 0)
        start = start or (now, done)
        seen, n_seen = now, done
        if now - last < LINE_SECONDS and done < total:
            return
        last = now
        seconds, done_since = now - start[0], done - start[1]
        left = (
            timedelta(seconds=round(seconds / done_since * (total - done))) if done_since else "?"
        )
        print(f"{title}: {done}/{total}, {left} left{note and f' ({note})'}", flush=True)

    return advance
