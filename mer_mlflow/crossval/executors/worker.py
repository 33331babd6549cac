"""A worker process: reads a task, then runs the batches that it is sent.

Started as ``python -m mer_mlflow.crossval.executors.worker CONNECTION TASK``, both file
descriptors, so that it imports neither the caller's main module nor more than the method needs.
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

from mer_mlflow.crossval.executors.events import Failure, failure
from mer_mlflow.crossval.executors.messages import BatchEpoch, BatchFinished, Order, Rehearsed
from mer_mlflow.crossval.jobs import Batch, Epoch, Job, Task, reset_peak_memory, run_jobs
from mer_mlflow.crossval.rehearsal import refusal

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
            batch = tuple(Job(split=split, hyperparameters=each) for each in order.hyperparameters)
            if order.is_rehearsal:
                connection.send(Rehearsed(reason=refusal(task, batch[0])))
            else:
                connection.send(_outcome(connection, task, batch))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return


def _outcome(connection: Connection, task: Task, batch: Batch) -> BatchFinished | Failure:
    def on_epoch(job: Job, epoch: Epoch) -> None:
        connection.send(BatchEpoch(position=batch.index(job), epoch=epoch))

    reset_peak_memory()
    try:
        return BatchFinished(results=tuple(run_jobs(task, batch, on_epoch)))
    except (BrokenPipeError, ConnectionResetError):
        raise
    except Exception as error:
        return failure(error)


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(PARENT_CHECK_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
