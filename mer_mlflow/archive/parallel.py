"""Work on a server, several pieces at a time: most of the time of each is waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import requests
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from mer_mlflow.access import redacted, refusal
from mer_mlflow.errors import TrackingError

AT_A_TIME = 8
"""Requests: a server of one process answers no more of them faster."""
MOST_SHOWN = 300
"""Characters of what a server says."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


@contextmanager
def with_advice(what: str, advice: str) -> Iterator[None]:
    """Tell in one line what a server did not do, and what the user may."""
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if refusal(error):
            raise
        reason = redacted(" ".join(str(error).split()))[:MOST_SHOWN] or type(error).__name__
        raise TrackingError(f"{what} ({reason}); {advice}") from error


def n_workers(client: MlflowClient) -> int:
    """Requests at a time; one where the store is a file, which has one writer and no waiting."""
    return AT_A_TIME if str(client.tracking_uri).startswith("http") else 1


def in_order(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], *, workers: int
) -> Iterator[Result]:
    """Work on pieces in threads, no further ahead than twice their number.

    Parameters
    ----------
    work : what is done with a piece
    pieces : in order
    workers : threads

    Yields
    ------
    results in the order of the pieces, whatever order they finish in
    """
    waiting: deque[Future[Result]] = deque()
    pool = ThreadPoolExecutor(workers)
    try:
        for piece in pieces:
            waiting.append(pool.submit(work, piece))
            if len(waiting) > 2 * workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
