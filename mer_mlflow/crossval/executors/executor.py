"""What executors have in common, and the choice of one."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Sequence
from typing import Protocol

from mer_mlflow.crossval.executors.cluster import SCHEMES, DaskExecutor
from mer_mlflow.crossval.executors.events import FoldEvent
from mer_mlflow.crossval.executors.inline import InlineExecutor
from mer_mlflow.crossval.executors.processes import ProcessExecutor
from mer_mlflow.crossval.executors.watch import silence_limit
from mer_mlflow.crossval.jobs import Batch, Task
from mer_mlflow.errors import ParameterError
from mer_mlflow.training import Method

MOST_THREADS = 1024
PROCESSES, INLINE = "processes", "inline"
EXECUTOR_VARIABLE = "MER_EXECUTOR"
ADDRESS = re.compile(rf"({'|'.join(map(re.escape, SCHEMES))})[^/\s]+:\d{{1,5}}")


class Executor(Protocol):
    """Runs batches of jobs somewhere; the results do not depend on where.

    A batch that fails is tried once more, job by job, and does not stop the others. Before the
    first one, a job is rehearsed on a few clips, so that an error which every job would end with is
    found before any is started.
    """

    def run(
        self, task: Task, batches: Sequence[Batch], *, on_event: Callable[[FoldEvent], None]
    ) -> None:
        """Run batches.

        Parameters
        ----------
        task : what the jobs share
        batches : started in this order
        on_event : called in this process with every event

        Raises
        ------
        UntrainableError
            If no job can be run, however often it is tried.
        """


def make_executor(
    workers: int, *, fold_timeout: float | None = None, cluster: str | None = None
) -> Executor:
    """Choose an executor.

    Parameters
    ----------
    workers : int >= 0, worker processes; 0 runs jobs in this process, one by one and with the
        threads that it has
    fold_timeout : float > 0 [s], time that a job may take in a worker process, by default any
    cluster : address of the scheduler of a Dask cluster, whose workers run the jobs then

    Examples
    --------
    >>> make_executor(0)
    InlineExecutor()
    >>> make_executor(2, fold_timeout=600.0)
    ProcessExecutor(workers=2, fold_timeout=600.0)
    """
    if cluster is not None:
        return DaskExecutor(address=cluster, fold_timeout=fold_timeout)
    if workers == 0:
        return InlineExecutor()
    return ProcessExecutor(workers=workers, fold_timeout=fold_timeout)


def resolve_executor(text: str | None) -> str:
    """Complete the name of an executor.

    Parameters
    ----------
    text : ``processes``, ``inline``, or the address of a scheduler of Dask, such as
        ``dask://host:8786``; None for ``MER_EXECUTOR``, else ``processes``

    Raises
    ------
    ParameterError
        If it is none of these.

    Examples
    --------
    >>> resolve_executor("dask://cluster:8786")
    'dask://cluster:8786'
    """
    name = "executor" if text else EXECUTOR_VARIABLE
    text = text or os.environ.get(EXECUTOR_VARIABLE) or PROCESSES
    if text not in (PROCESSES, INLINE) and not ADDRESS.fullmatch(text):
        raise ParameterError(
            f"{name}={text}: must be {PROCESSES}, {INLINE}, or the address of a scheduler of Dask, "
            "such as dask://host:8786 or dask+tls://host:8786"
        )
    return text


def resolve_workers(workers: int | None) -> int:
    """Complete a number of worker processes.

    Parameters
    ----------
    workers : int >= 0, None for one a core

    Raises
    ------
    ParameterError
        If it is negative.
    """
    if workers is None:
        return os.cpu_count() or 1
    if workers < 0:
        raise ParameterError(f"workers={workers}: must be >= 0")
    return workers


def check_workers(
    method: Method, n_workers: int, *, fold_timeout: float | None = None, named: str = "workers=0"
) -> None:
    """Make sure that a method can be run by so many workers.

    Parameters
    ----------
    method : the methodology
    n_workers : int >= 0, worker processes
    fold_timeout : float > 0 [s], time that a job may take, None for any
    named : the parameter by which the user requested none

    Raises
    ------
    ParameterError
        If there are none and it trains a network, or jobs have a time limit.
    """
    silence_limit()
    if fold_timeout is not None and not 0 < fold_timeout < math.inf:
        raise ParameterError(f"fold_timeout={fold_timeout:g}: must be a number of seconds > 0")
    if n_workers == 0 and fold_timeout is not None:
        raise ParameterError(
            f"{named}: fold_timeout needs a worker, which can be ended; use workers=1"
        )
    if n_workers == 0 and method.framework != "scikit-learn":
        raise ParameterError(
            f"{named}: {method.name} needs a worker, whose arithmetic threads are fixed; "
            "use workers=1"
        )
