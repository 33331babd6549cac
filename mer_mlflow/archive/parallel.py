"""Parallel requests to a server, because most of their time is latency."""

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
"""Maximum number of parallel requests; more are not faster for a server with one process."""
MOST_SHOWN = 300
"""Maximum number of characters of a server's message."""

Piece = TypeVar("Piece")
Result = TypeVar("Result")


@contextmanager
def with_advice(what: str, advice: str) -> Iterator[None]:
    """Turn a server's error into one line with advice for the user."""
    try:
        yield
    except (MlflowException, requests.RequestException) as error:
        if refusal(error):
            raise
        reason = redacted(" ".join(str(error).split()))[:MOST_SHOWN] or type(error).__name__
        raise TrackingError(f"{what} ({reason}); {advice}") from error


def n_workers(client: MlflowClient) -> int:
    """Return the number of parallel requests; 1 for a file store, which has a single writer."""
    return AT_A_TIME if str(client.tracking_uri).startswith("http") else 1


def in_order(
    work: Callable[[Piece], Result], pieces: Iterable[Piece], *, workers: int
) -> Iterator[Result]:
    """Map a function over items in threads, with a bounded number of items in progress.

    Parameters
    ----------
    work : function of an item
    pieces : items
    workers : number of threads

    Yields
    ------
    results in the order of the items
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
