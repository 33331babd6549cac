"""Executors: run batches of jobs, in this process or in worker processes."""

from mer_mlflow.crossval.executors.events import (
    EpochEnded,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldRetried,
    FoldStarted,
)
from mer_mlflow.crossval.executors.executor import (
    MOST_THREADS,
    Executor,
    check_workers,
    make_executor,
    resolve_workers,
)
from mer_mlflow.crossval.executors.inline import InlineExecutor
from mer_mlflow.crossval.executors.pool import worker_environment
from mer_mlflow.crossval.executors.processes import ProcessExecutor

__all__ = [
    "MOST_THREADS",
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
    "resolve_workers",
    "worker_environment",
]
