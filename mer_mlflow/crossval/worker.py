"""A worker process: receives a task, then orders, and answers with what happens in each fold.

Started as ``python -m mer_mlflow.crossval.worker CONNECTION TASK``, both file descriptors, so that
it imports neither the caller's main module nor more than the method needs.
"""

from __future__ import annotations

import mmap
import os
import pickle
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection

from mer_mlflow.crossval.executors import (
    EpochEnded,
    FoldFailed,
    FoldFinished,
    Order,
    Rehearsed,
    failed,
)
from mer_mlflow.crossval.fold import Epoch, Task, run_fold
from mer_mlflow.crossval.rehearsal import refusal
from mer_mlflow.crossval.splits import Split

PARENT_CHECK_SECONDS = 1.0


def main(descriptor: int, task_descriptor: int) -> None:
    """Serve one connection until it closes.

    Parameters
    ----------
    descriptor : file descriptor of the connection
    task_descriptor : of a file with the pickle of the task and the splits by id
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    connection = Connection(descriptor)
    with mmap.mmap(task_descriptor, 0, access=mmap.ACCESS_READ) as content:
        task, splits = pickle.loads(content)  # noqa: S301, the parent process wrote it
    os.close(task_descriptor)
    try:
        while True:
            order: Order = connection.recv()
            split = splits[order.split_id]
            if order.is_rehearsal:
                connection.send(Rehearsed(reason=refusal(task, split)))
            else:
                connection.send(_outcome(connection, task, split))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _outcome(connection: Connection, task: Task, split: Split) -> FoldFinished | FoldFailed:
    def on_epoch(epoch: Epoch) -> None:
        connection.send(EpochEnded(split=split, epoch=epoch))

    try:
        return FoldFinished(split=split, result=run_fold(task, split, on_epoch))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return failed(split, error)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
