"""Faults of a cluster, at random moments: every fold ends once, with the scores of one machine.

``MER_FAULT_CLUSTER`` is the number of times that each fault happens.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import psutil
import pytest
from distributed import Client
from mlflow import MlflowClient

from mer_mlflow.cache import cache_root
from mer_mlflow.crossval import split_plan
from mer_mlflow.crossval.executors import (
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldRetried,
    make_executor,
)
from mer_mlflow.crossval.jobs import Batch, Job, Task
from mer_mlflow.datasets import Clips
from mer_mlflow.methods import get_method
from mer_mlflow.representations import Examples, StoredArray
from mer_mlflow.representations.store import write_entry

N_TIMES = int(os.environ.get("MER_FAULT_CLUSTER", "1"))
N_CLIPS, N_FEATURES, N_FOLDS = 1000, 100, 6
LABELS = np.arange(N_CLIPS) % 4
TRAIN = ("train", "--method=svm", "--dataset=demo", "--duration=2", "--folds=5", "--repeats=4")
N_TRAINED = 20
ROUNDS = pytest.mark.parametrize("seed", range(N_TIMES))
Folds = tuple[Task, list[Batch]]


def make_folds(features: Any) -> Folds:
    clips = Clips(
        name="noise",
        ids=tuple(f"c{i:04d}" for i in range(N_CLIPS)),
        quadrants=LABELS,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
    )
    method = get_method("svm")
    examples = Examples(inputs=(features,), positions=np.arange(N_CLIPS), quadrants=LABELS)
    first = split_plan(clips, n_splits=10, n_repeats=1).splits[0]
    splits = [replace(first, fold=1 + i, seed=i) for i in range(N_FOLDS)]
    batches: list[Batch] = [(Job(split=each, hyperparameters=method.resolve()),) for each in splits]
    return Task(method=method, examples=examples, title="svm · noise"), batches


def noise() -> Any:
    rng = np.random.default_rng(0)
    return rng.normal(size=(N_CLIPS, N_FEATURES)) + LABELS[:, None] / 10


@pytest.fixture(scope="module")
def folds() -> Folds:
    return make_folds(noise())


@pytest.fixture(scope="module")
def expected(folds: Folds) -> dict[str, Any]:
    """What worker processes of this computer predict."""
    return predicted(run(None, folds))


@pytest.fixture(scope="module")
def faulty(make_cluster: Callable[[], Any]) -> Any:
    """Two workers; a frozen one is lost after ten seconds."""
    cluster = make_cluster()
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    cluster.start_scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="10s")
    return cluster


@pytest.fixture
def pair(faulty: Any) -> Iterator[Any]:
    """The cluster, again with two workers; one that ends is started again."""
    for worker in faulty.workers:
        if worker.poll() is None and worker.status() == psutil.STATUS_STOPPED:
            worker.kill()
            worker.wait()
    with Client(faulty.address.replace("dask", "tcp"), set_as_default=False) as client:
        while len(client.scheduler_info()["workers"]) != 2:
            if sum(worker.poll() is None for worker in faulty.workers) < 2:
                faulty.start_worker()
            time.sleep(0.1)
    ended = threading.Event()

    def start_again() -> None:
        while not ended.wait(0.5):
            if sum(worker.poll() is None for worker in faulty.workers) < 2:
                faulty.start_worker()

    supervisor = threading.Thread(target=start_again)
    supervisor.start()
    yield faulty
    ended.set()
    supervisor.join()


def run(
    address: str | None, folds: Folds, on_event: Callable[[FoldEvent], None] = lambda event: None
) -> list[FoldEvent]:
    events: list[FoldEvent] = []

    def note(event: FoldEvent) -> None:
        events.append(event)
        on_event(event)

    make_executor(2, cluster=address).run(*folds, on_event=note)
    return events


def predicted(events: Sequence[FoldEvent]) -> dict[str, Any]:
    return {
        each.result.split_id: each.result.prediction.probabilities
        for each in events
        if isinstance(each, FoldFinished)
    }


def assert_all_once(events: Sequence[FoldEvent], expected: dict[str, Any], *, most: int) -> None:
    ends = Counter(each.job.split.id for each in events if isinstance(each, FoldFinished))
    assert ends == Counter(expected.keys())
    assert not [each for each in events if isinstance(each, FoldFailed)]
    assert sum(isinstance(each, FoldRetried) for each in events) <= most
    found = predicted(events)
    assert all(np.array_equal(found[key], values) for key, values in expected.items())


@ROUNDS
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_worker_that_is_killed_or_frozen(
    seed: int, number: signal.Signals, pair: Any, folds: Folds, expected: dict[str, Any]
) -> None:
    draw = random.Random(seed)
    victim = draw.choice([worker for worker in pair.workers if worker.poll() is None])
    moment, events = draw.randrange(2 * N_FOLDS - 2), list[FoldEvent]()

    def lose(event: FoldEvent) -> None:
        events.append(event)
        if len(events) == 1 + moment:
            time.sleep(draw.random() / 5)
            victim.send_signal(number)

    found = run(pair.address, folds, lose)
    assert_all_once(found, expected, most=1)
    assert len(events) > moment


@ROUNDS
def test_worker_with_a_full_disk(seed: int, make_cluster: Any, tmp_path: Path) -> None:
    features = noise().astype(np.float32)
    folder = cache_root() / "store" / "features-disk"
    paths = tuple(folder / f"{i % 256:02x}" / f"{i:04x}.npy" for i in range(N_CLIPS))
    for path, array in zip(paths, features, strict=True):
        write_entry(path, array)
    folds = make_folds(StoredArray(paths=paths, item_shape=(N_FEATURES,)))
    cluster = make_cluster()
    size = f"size={random.Random(seed).randrange(4, 400)}k"
    cluster.cache(0).mkdir()
    command = ["mount", "-t", "tmpfs", "-o", size, "none", str(cluster.cache(0))]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip("no small disk can be made here")
    try:
        cluster.start_worker()
        cluster.start_worker()
        cluster.wait(2)
        assert_all_once(run(cluster.address, folds), predicted(run(None, folds)), most=0)
        written = list((cluster.cache(0) / "store").rglob("*"))
        assert not [path for path in written if path.name.startswith(".writing")]
        assert len([path for path in written if path.is_file()]) < N_CLIPS
    finally:
        subprocess.run(["umount", "--lazy", str(cluster.cache(0))], check=True)


def train(folder: Path, name: str, *options: str) -> psutil.Popen:
    """Start a command whose runs are in a database of this name."""
    return psutil.Popen(
        [sys.executable, "-m", "mer_mlflow", *TRAIN, *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/{name}.db",
            "MER_JOURNAL_ROOT": str(folder / f"{name}-journals"),
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def done(process: psutil.Popen, *codes: int) -> str:
    printed, _ = process.communicate(timeout=300)
    assert process.returncode in codes, printed
    return str(printed)


def finished(folder: Path) -> Counter[str]:
    """Number of finished runs of each fold."""
    query = (
        "SELECT t.value FROM tags t JOIN runs r ON r.run_uuid = t.run_uuid "
        "WHERE t.key = 'mer.split' AND r.status = 'FINISHED'"
    )
    with (
        suppress(sqlite3.OperationalError),
        closing(sqlite3.connect(folder / "killed.db")) as database,
    ):
        return Counter(split for (split,) in database.execute(query))
    return Counter()


def table(client: MlflowClient) -> pd.DataFrame:
    (run,) = client.search_runs(["0"], "tags.`mer.status` = 'complete'")
    return pd.read_parquet(client.download_artifacts(run.info.run_id, "predictions.parquet"))


@pytest.fixture(scope="module")
def whole(demo: Clips, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """Predictions of the command in worker processes of this computer."""
    folder = tmp_path_factory.mktemp("whole")
    done(train(folder, "whole", "--workers=1"), 0)
    return table(MlflowClient(f"sqlite:///{folder}/whole.db"))


@ROUNDS
@pytest.mark.parametrize("victim", ["scheduler", "command"])
def test_scheduler_or_command_that_is_killed(
    seed: int, victim: str, pair: Any, whole: pd.DataFrame, tmp_path: Path
) -> None:
    draw = random.Random(seed)
    process = train(tmp_path, "killed", f"--executor={pair.address}")
    least = draw.randrange(1, N_TRAINED // 2)
    while process.poll() is None and finished(tmp_path).total() < least:
        time.sleep(0.02)
    if victim == "command":
        process.kill()
        done(process, -signal.SIGKILL, 0)
    else:
        pair.scheduler.kill()
        pair.scheduler.wait()
        done(process, 3, 0)
        pair.start_scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="10s")
    before = finished(tmp_path)
    done(train(tmp_path, "killed", f"--executor={pair.address}"), 0)
    assert set(finished(tmp_path).values()) == {1} and len(finished(tmp_path)) == N_TRAINED
    assert before <= finished(tmp_path)
    assert table(MlflowClient(f"sqlite:///{tmp_path}/killed.db")).equals(whole)
