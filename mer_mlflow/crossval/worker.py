"""A worker process: receives a task, then splits, and answers with what happens in each fold.

Started as ``python -m mer_mlflow.crossval.worker FD TASK``, so that it imports neither the caller's
main module nor more than the method needs.
"""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from pathlib import Path

from mer_mlflow.crossval.executors import EpochEnded, FoldFailed, FoldFinished
from mer_mlflow.crossval.fold import Epoch, Task, run_fold
from mer_mlflow.crossval.splits import Split

PARENT_CHECK_SECONDS = 1.0


def main(descriptor: int, task_file: Path) -> None:
    """Serve one connection until it closes.

    Parameters
    ----------
    descriptor : file descriptor of the connection
    task_file : pickle of the task that the folds share
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    connection = Connection(descriptor)
    task = pickle.loads(task_file.read_bytes())  # noqa: S301, the parent process wrote it
    try:
        while True:
            _serve(connection, task, connection.recv())
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _serve(connection: Connection, task: Task, split: Split) -> None:
    def on_epoch(epoch: Epoch) -> None:
        connection.send(EpochEnded(split=split, epoch=epoch))

    try:
        result = run_fold(task, split, on_epoch)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        connection.send(
            FoldFailed(
                split=split,
                reason=f"{type(error).__name__}: {error}",
                traceback=traceback.format_exc(),
            )
        )
    else:
        connection.send(FoldFinished(split=split, result=result))


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
