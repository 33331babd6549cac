"""A Dask cluster on this computer against ``executor=processes``, with as many workers.

Both run the same SVM folds in turn, each round with new processes. The first fold of every worker
is not counted: starting processes takes the same time in both.

    python benchmarks/cluster.py [--workers 2] [--folds 20] [--clips 2000]

prints the ratio of the times, the overhead of a fold, and what is sent for it.
"""

from __future__ import annotations

import argparse
import pickle
import statistics
import time
from dataclasses import replace

import numpy as np
from distributed import LocalCluster

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.executors import Executor, FoldEvent, FoldFinished, make_executor
from mer_mlflow.crossval.executors.transfer import pack
from mer_mlflow.crossval.jobs import Batch, FoldResult, Job, Task
from mer_mlflow.datasets import Clips
from mer_mlflow.representations import Examples

ROUNDS = 3
N_FEATURES = 300


def main() -> None:
    """Time both in turn, compare their predictions and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workers", type=int, default=2, help="workers of both (default 2)")
    parser.add_argument("--folds", type=int, default=20, help="folds (default 20)")
    parser.add_argument("--clips", type=int, default=2000, help="clips of a fold (default 2000)")
    given = parser.parse_args()
    task, batches = folds(given.clips, given.folds)
    with LocalCluster(
        n_workers=given.workers, threads_per_worker=1, dashboard_address=":0"
    ) as cluster:
        address = cluster.scheduler_address.replace("tcp://", "dask://")
        on_cluster = make_executor(given.workers, cluster=address)
        ratios, extra = [], []
        for _ in range(ROUNDS):
            here, local = timed(make_executor(given.workers), task, batches, given.workers)
            there, remote = timed(on_cluster, task, batches, given.workers)
            ratios.append(there / here)
            extra.append(1000 * (there - here))
            print(f"processes {here:.3f} s a fold, cluster {there:.3f} s, {there / here:.3f} x")
            assert all(
                np.array_equal(local[key].prediction.probabilities, each.prediction.probabilities)
                for key, each in remote.items()
            )
    print(f"cluster / processes: {statistics.median(ratios):.3f} (median of {ROUNDS} rounds)")
    print(f"overhead of a fold: {statistics.median(extra):.1f} ms; predictions are the same")
    packed = pack(task, batches)
    order, answer = len(pickle.dumps(batches[0])), len(pickle.dumps(next(iter(remote.values()))))
    print(
        f"sent once to each worker: {len(packed.content) / 2**20:.2f} MiB; for each fold: "
        f"{order / 2**10:.1f} KiB there, {answer / 2**10:.1f} KiB back"
    )


def folds(n_clips: int, n_folds: int) -> tuple[Task, list[Batch]]:
    """Make folds of noise, each with its own seed."""
    labels = np.arange(n_clips) % 4
    clips = Clips(
        name="noise",
        ids=tuple(f"c{i:06d}" for i in range(n_clips)),
        quadrants=labels,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=(None,) * n_clips,
    )
    features = np.random.default_rng(0).normal(size=(n_clips, N_FEATURES))
    method = get_method("svm")
    examples = Examples(inputs=(features,), positions=np.arange(n_clips), quadrants=labels)
    first = split_plan(clips, n_splits=10, n_repeats=1).splits[0]
    splits = [replace(first, fold=1 + i, seed=i) for i in range(n_folds)]
    batches = [(Job(split=split, hyperparameters=method.resolve()),) for split in splits]
    return Task(method=method, examples=examples, title="svm · noise"), list(batches)


def timed(
    executor: Executor, task: Task, batches: list[Batch], n_workers: int
) -> tuple[float, dict[str, FoldResult]]:
    """Return the seconds of a fold after the first one of each worker, and the results."""
    ends: list[float] = []
    results: dict[str, FoldResult] = {}

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldFinished):
            ends.append(time.perf_counter())
            results[event.result.split_id] = event.result

    executor.run(task, batches, on_event=on_event)
    return (ends[-1] - ends[n_workers - 1]) / (len(ends) - n_workers), results


if __name__ == "__main__":
    main()
