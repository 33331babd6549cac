"""Progress of long tasks: a bar in a terminal, occasional lines in a log, both with an ETA."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from mer_mlflow.terminal import console, guard_output

LINE_SECONDS = 10.0
"""Minimum time between two lines in a log."""

Advance = Callable[[int, int], None]


@contextmanager
def progress(title: str) -> Iterator[Advance]:
    """Show the progress of a task.

    Parameters
    ----------
    title : name of the task

    Yields
    ------
    function to call with (done, total); nothing is shown while total is 0
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
    )
    with Progress(*columns, console=console()) as bar:
        guard_output()  # the bar has replaced the guarded streams
        task = bar.add_task(title, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=True)


def _lines(title: str) -> Advance:
    start: tuple[float, int] | None = None
    last = time.monotonic()

    def advance(done: int, total: int) -> None:
        nonlocal start, last
        now = time.monotonic()
        start = start or (now, done)
        if now - last < LINE_SECONDS and done < total:
            return
        last = now
        seconds, done_since = now - start[0], done - start[1]
        left = (
            timedelta(seconds=round(seconds / done_since * (total - done))) if done_since else "?"
        )
        print(f"{title}: {done}/{total}, {left} left", flush=True)

    return advance
