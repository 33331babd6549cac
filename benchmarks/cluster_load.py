"""Which part of a cluster is the limit: folds that take no time, on many simulated workers.

A scheduler and 50 workers, each with one thread, run in two processes; their folds return at once a
result that was computed before. What a fold then takes of the processor is that of the scheduler,
of the workers, and of the command, once without tracking and once with a journal and MLflow on
SQLite.

    python benchmarks/cluster_load.py [--folds 10000] [--tracked 1000] [--workers 50]

prints the folds of a second, and the processor time of a fold in each process [ms], both after the
first fold: files are sent and workers examined before it.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import multiprocessing
import os
import pickle
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stdout
from dataclasses import replace
from io import StringIO
from typing import Any
from unittest import mock

import psutil
from distributed import Scheduler, Worker, get_worker

from mer_mlflow import get_method, load_dataset, split_plan
from mer_mlflow.crossval.executors import FoldFinished, make_executor, remote
from mer_mlflow.crossval.executors.messages import BatchFinished, Rehearsed
from mer_mlflow.crossval.jobs import Batch, FoldResult, Job
from mer_mlflow.crossval.setting import Setting, gather, resolve_setting, task_of
from mer_mlflow.crossval.validation import validate
from mer_mlflow.representations import open_store

SECONDS = 2.0
"""Excerpt of each clip."""


def main() -> None:
    """Run folds without and with tracking, and print a row for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folds", type=int, default=10_000, help="without tracking")
    parser.add_argument("--tracked", type=int, default=1000, help="folds with tracking")
    parser.add_argument("--workers", type=int, default=50, help="simulated workers")
    given = parser.parse_args()
    with running_cluster(given.workers) as (address, processes):
        titles = ("folds", "a second", "scheduler", "workers", "command")
        print("".join(f"{title:>12}" for title in titles), flush=True)
        for n_folds, cross_validate in ((given.folds, untracked), (given.tracked, tracked)):
            setting = demo_setting(n_folds)
            with immediate_folds(setting):
                clock = Clock(processes)
                cross_validate(setting, address, clock.start)
                seconds, *spent = clock.passed()
            print(f"{cross_validate.__name__:>12}{n_folds / seconds:>12.4g}", end="")
            print("".join(f"{1000 * each / n_folds:>12.3g}" for each in spent), flush=True)


def demo_setting(n_folds: int) -> Setting:
    """Return a cross-validation of SVM on the demo with so many folds."""
    clips = load_dataset("demo")
    plan = split_plan(clips, n_splits=10, n_repeats=1)
    first = plan.splits[0]
    splits = tuple(replace(first, repeat=1 + i // 10, fold=1 + i % 10) for i in range(n_folds))
    setting = resolve_setting(get_method("svm"), clips, plan, duration=SECONDS)
    return replace(setting, plan=replace(plan, splits=splits, n_repeats=n_folds // 10))


@contextmanager
def running_cluster(n_workers: int) -> Iterator[tuple[str, list[psutil.Process]]]:
    """Give the address of a cluster, and the processes of its scheduler and of its workers."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    scheduler = context.Process(target=serve, args=(run_scheduler, theirs), daemon=True)
    scheduler.start()
    address = ours.recv()
    workers = context.Process(
        target=serve, args=(run_workers, theirs, address, n_workers), daemon=True
    )
    workers.start()
    ours.recv()
    try:
        yield (
            address.replace("tcp://", "dask://"),
            [psutil.Process(each.pid) for each in (scheduler, workers)],
        )
    finally:
        for process in (workers, scheduler):
            process.kill()
            process.join()


def serve(run: Callable[..., Any], *arguments: Any) -> None:
    """Run a coroutine in a process of its own."""
    logging.disable()
    asyncio.run(run(*arguments))


async def run_scheduler(connection: Any) -> None:
    """Run a scheduler, and send its address."""
    async with Scheduler(host="127.0.0.1", dashboard_address=":0") as scheduler:
        connection.send(scheduler.address)
        await scheduler.finished()


async def run_workers(connection: Any, address: str, n_workers: int) -> None:
    """Run workers, and send a message when all have started."""
    workers = [
        await Worker(address, nthreads=1, memory_limit=0, dashboard=False, name=i)
        for i in range(n_workers)
    ]
    connection.send(len(workers))
    await asyncio.gather(*(worker.finished() for worker in workers))


@contextmanager
def immediate_folds(setting: Setting) -> Iterator[None]:
    """Let workers return the result of the first fold, which is computed here."""
    examples = gather(setting, store=open_store())
    batch: Batch = (Job(split=setting.plan.splits[0], hyperparameters=setting.hyperparameters),)
    results: list[FoldResult] = []

    def keep(event: Any) -> None:
        if isinstance(event, FoldFinished):
            results.append(event.result)

    make_executor(1).run(task_of(setting, examples), [batch], on_event=keep)

    def run_batch(token: str, key: str, packed_batch: bytes, topic: str) -> BatchFinished:
        worker = get_worker()
        worker.log_event(topic, {"key": key, "worker": worker.address})
        (job,) = pickle.loads(packed_batch)  # noqa: S301, this script wrote it
        return BatchFinished(results=(replace(results[0], split_id=job.split.id),))

    def rehearse(token: str, key: str, packed_batch: bytes) -> Rehearsed:
        return Rehearsed(reason=None)

    with mock.patch.multiple(remote, run_batch=run_batch, rehearse=rehearse):
        yield


def untracked(setting: Setting, address: str, on_fold: Callable[[], None]) -> None:
    """Run all folds without tracking."""
    examples = gather(setting, store=open_store())
    batches: list[Batch] = [
        (Job(split=split, hyperparameters=setting.hyperparameters),)
        for split in setting.plan.splits
    ]
    executor = make_executor(0, cluster=address)
    executor.run(task_of(setting, examples), batches, on_event=lambda event: on_fold())


def tracked(setting: Setting, address: str, on_fold: Callable[[], None]) -> None:
    """Run all folds, and track them as ``train`` does."""
    import mlflow
    from mlflow import MlflowClient

    from mer_mlflow.tracking import RunTree

    examples = gather(setting, store=open_store())
    executor = make_executor(0, cluster=address)
    with (
        tempfile.TemporaryDirectory() as folder,
        chdir(folder),
        redirect_stdout(StringIO()),
        mock.patch.dict(os.environ, {"MER_JOURNAL_ROOT": f"{folder}/journals"}),
    ):
        mlflow.set_tracking_uri(f"sqlite:///{folder}/mlflow.db")
        MlflowClient().search_experiments()
        with RunTree(setting, tags={}, source="benchmark") as runs:
            runs.on_fold = lambda done, total, event: on_fold()
            runs.conclude(validate(setting, examples, executor=executor, listener=runs))


class Clock:
    """Seconds since the first fold, and the processor seconds of processes and of this one."""

    def __init__(self, processes: list[psutil.Process]) -> None:
        self._processes = [*processes, psutil.Process()]
        self._begin: list[float] = []

    def start(self) -> None:
        """Start the clock, if it has not been started."""
        self._begin = self._begin or self._now()

    def passed(self) -> list[float]:
        """Return the seconds, and the processor seconds of each process."""
        return [end - begin for end, begin in zip(self._now(), self._begin, strict=True)]

    def _now(self) -> list[float]:
        return [time.perf_counter(), *map(processor_seconds, self._processes)]


def processor_seconds(process: psutil.Process) -> float:
    """Return the processor time of a process [s]."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()
