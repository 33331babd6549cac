"""Executors: run batches of jobs in this process, in worker processes or on a cluster."""

from mer_mlflow.crossval.executors.cluster import DaskExecutor
from mer_mlflow.crossval.executors.events import (
    EpochEnded,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldRetried,
    FoldStarted,
)
from mer_mlflow.crossval.executors.executor import (
    INLINE,
    MOST_THREADS,
    PROCESSES,
    Executor,
    check_workers,
    make_executor,
    resolve_executor,
    resolve_workers,
)
from mer_mlflow.crossval.executors.inline import InlineExecutor
from mer_mlflow.crossval.executors.pool import worker_environment
from mer_mlflow.crossval.executors.processes import ProcessExecutor

__all__ = [
    "INLINE",
    "MOST_THREADS",
    "PROCESSES",
    "DaskExecutor",
    "EpochEnded",
    "Executor",
    "FoldEvent",
    "FoldFailed",
    "FoldFinished",
    "FoldRetried",
    "FoldStarted",
    "InlineExecutor",
    "ProcessExecutor",
    "check_workers",
    "make_executor",
    "resolve_executor",
    "resolve_workers",
    "worker_environment",
]
