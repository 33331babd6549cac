"""Milliseconds that logging one fold's run costs: our way against the obvious way.

A fold is first recorded by ``RunTree`` itself; what its run then carries (metrics, parameters and
tags, files left out) is the work that both ways repeat:

- ours: the calls that ``mer_mlflow.tracking`` makes, ``MlflowClient.create_run`` with the tags, one
  ``log_batch`` through ``mer_mlflow.tracking.write``, ``set_terminated``;
- obvious: ``mlflow.start_run(nested=True)``, then ``log_metric``, ``log_param`` and ``set_tag``
  value by value.

Each runs on a fresh sqlite database of its own, as it opens it, and both on one fresh local HTTP
server, in turn child by child, so that a busy machine slows both. A line below has the whole cost
of a fold in ``RunTree``: the same calls, the fold's files, and the computation of what is written.

    python benchmarks/tracking.py --children 20

prints, for each backend, the median milliseconds per child of both ways and their ratio.
"""

from __future__ import annotations

import argparse
import io
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, chdir, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median

import mlflow
import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval import FoldResult, Setting, Split
from mer_mlflow.crossval.executors import FoldFinished, FoldStarted
from mer_mlflow.crossval.jobs import Job
from mer_mlflow.crossval.setting import resolve_setting
from mer_mlflow.datasets import QUADRANTS, Clips
from mer_mlflow.tracking import Kind, RunTree, search, write
from mer_mlflow.tracking.items import Item, Metric, Param
from mer_mlflow.training import Prediction

METHOD = "crnn"
N_CLIPS = 900
N_SPLITS = 10
START_SECONDS = 180.0
STOP_SECONDS = 20.0
INHERITED = ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")
"""Variables of a surrounding ``mlflow run`` that would lead elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Child:
    """What a fold's run carries besides files."""

    name: str
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]

    @property
    def n_values(self) -> int:
        """Number of values, the run's name among them."""
        return 1 + len(self.tags) + len(self.params) + len(self.metrics)


@dataclass(frozen=True, kw_only=True)
class Stores:
    """Tracking URIs that the two ways log to."""

    ours: str
    obvious: str


@dataclass(frozen=True, kw_only=True)
class Timing:
    """Milliseconds of every child."""

    child: Child
    ours: list[float]
    obvious: list[float]
    tree: list[float]


def main() -> None:
    """Measure both backends and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--children", type=int, default=20, help="runs each way (default 20)")
    children: int = parser.parse_args().children
    if children < 1:
        parser.error(f"--children {children}: must be >= 1")
    prepare_process()
    print_header(children)
    for name, backend in (("sqlite", sqlite_store), ("http", http_server)):
        with tempfile.TemporaryDirectory() as folder, chdir(folder):
            print_rows(name, measure(backend, Path(folder), children))


def prepare_process() -> None:
    """Leave a surrounding run's settings, keep MLflow quiet, clean up on SIGTERM too."""
    for variable in INHERITED:
        os.environ.pop(variable, None)
    for logger in ("mlflow", "alembic"):
        logging.getLogger(logger).setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def measure(
    backend: Callable[[Path], AbstractContextManager[Stores]], folder: Path, children: int
) -> Timing:
    """Time the ways in turn on a backend; the first child of each only warms up."""
    setting = example_setting(1 + children)
    with backend(folder) as stores, redirect_stdout(io.StringIO()):
        mlflow.set_tracking_uri(stores.ours)
        with RunTree(setting, tags={}, source="benchmark") as tree:
            mlflow.set_tracking_uri(stores.obvious)
            mlflow.start_run()
            warm_up, *splits = setting.plan.splits[: 1 + children]
            client = MlflowClient(stores.ours)
            child = recorded_child(client, tree, setting, warm_up)
            check_same(client.get_run(log_ours(client, tree, child)), child)
            check_same(MlflowClient(stores.obvious).get_run(log_obviously(child)), child)
            timing = Timing(child=child, ours=[], obvious=[], tree=[])
            for split in splits:
                result = example_result(split)
                timing.ours.append(milliseconds(partial(log_ours, client, tree, child)))
                timing.obvious.append(milliseconds(partial(log_obviously, child)))
                timing.tree.append(milliseconds(partial(log_by_tree, tree, split, result)))
            mlflow.end_run()
    return timing


def log_ours(client: MlflowClient, tree: RunTree, child: Child) -> str:
    """Log a child as ``mer_mlflow.tracking`` does."""
    run = client.create_run(
        tree.experiment_id,
        start_time=int(time.time() * 1000),
        tags=child.tags | {MLFLOW_PARENT_RUN_ID: tree.run_id},
        run_name=child.name,
    )
    items: list[Item] = [Param(key=key, value=value) for key, value in child.params.items()]
    items += [Metric(key=key, value=value) for key, value in child.metrics.items()]
    write(client, run.info.run_id, items)
    client.set_terminated(run.info.run_id, "FINISHED")
    return str(run.info.run_id)


def log_obviously(child: Child) -> str:
    """Log a child below the active run as MLflow's introduction does."""
    with mlflow.start_run(run_name=child.name, nested=True) as run:
        for key, value in child.tags.items():
            if key != MLFLOW_PARENT_RUN_ID:
                mlflow.set_tag(key, value)
        for key, value in child.params.items():
            mlflow.log_param(key, value)
        for key, figure in child.metrics.items():
            mlflow.log_metric(key, figure)
    return str(run.info.run_id)


def log_by_tree(tree: RunTree, split: Split, result: FoldResult) -> None:
    """Log a child with its files through the events that a cross-validation sends."""
    tree.on_event(FoldStarted(job=Job(split=split, hyperparameters=None)))
    tree.on_event(FoldFinished(job=Job(split=split, hyperparameters=None), result=result))


def recorded_child(client: MlflowClient, tree: RunTree, setting: Setting, split: Split) -> Child:
    """Record a fold by ``RunTree`` and read back what its run carries."""
    log_by_tree(tree, split, example_result(split))
    (run,) = search(client, tree.experiment_id, kind=Kind.FOLD, identity=setting.identity)
    tags = dict(run.data.tags)
    return Child(
        name=tags.pop(MLFLOW_RUN_NAME),
        tags=tags,
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
    )


def check_same(run: Run, child: Child) -> None:
    """Make sure that a run carries a child's values.

    Raises
    ------
    RuntimeError
        If one is missing or different.
    """
    same_values = run.data.params == child.params and run.data.metrics == child.metrics
    tags = {key: tag for key, tag in child.tags.items() if key != MLFLOW_PARENT_RUN_ID}
    if not (same_values and tags.items() <= run.data.tags.items()):
        raise RuntimeError(f"run {run.info.run_id} does not carry what the fold's run carries")


def milliseconds(work: Callable[[], object]) -> float:
    """Wall-clock time of some work [ms]."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def example_setting(n_folds: int) -> Setting:
    """Return a cross-validation of made-up clips with at least so many folds."""
    clips = Clips(
        name="benchmark",
        ids=tuple(f"clip{i:04d}" for i in range(N_CLIPS)),
        quadrants=np.arange(N_CLIPS) % len(QUADRANTS),
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
    )
    plan = split_plan(clips, n_splits=N_SPLITS, n_repeats=-(-n_folds // N_SPLITS))
    return resolve_setting(get_method(METHOD), clips, plan)


def example_result(split: Split) -> FoldResult:
    """Make up a fold's result with random probabilities and no epochs."""
    random = np.random.default_rng(split.seed)
    probabilities = random.dirichlet(np.ones(len(QUADRANTS)), size=len(split.test))
    return FoldResult(
        split_id=split.id,
        test=split.test,
        true=split.test % len(QUADRANTS),
        prediction=Prediction(probabilities=probabilities, quadrants=probabilities.argmax(axis=1)),
        epochs=(),
        started=time.time(),
        fit_seconds=60.0,
        predict_seconds=1.0,
        peak_memory=1000.0,
        n_parameters=100_000,
    )


@contextmanager
def sqlite_store(folder: Path) -> Iterator[Stores]:
    """Yield fresh databases in the folder: ours is opened by ``RunTree``, the other by MLflow."""
    yield Stores(ours=f"sqlite:///{folder / 'ours.db'}", obvious=f"sqlite:///{folder / 'plain.db'}")


@contextmanager
def http_server(folder: Path) -> Iterator[Stores]:
    """Run a tracking server on a fresh database in the folder, for both ways."""
    port = free_port()
    log = folder / "server.log"
    options = {
        "--workers": "1",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--backend-store-uri": f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination": str(folder / "artifacts"),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mlflow", "server", *chain.from_iterable(options.items())],
            cwd=folder,
            env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        uri = f"http://127.0.0.1:{port}"
        wait_until_healthy(uri, process, log)
        yield Stores(ours=uri, obvious=uri)
    finally:
        stop(process)


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_healthy(uri: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for the server's first healthy answer.

    Raises
    ------
    RuntimeError
        If it ends, or does not answer in time.
    """
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with (
            suppress(urllib.error.URLError, OSError),
            urllib.request.urlopen(f"{uri}/health", timeout=5) as answer,
        ):
            if answer.status == 200:
                return
        time.sleep(0.2)
    last_lines = log.read_text(errors="replace")[-2000:]
    raise RuntimeError(f"the server at {uri} does not answer; its log ends:\n{last_lines}")


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server and the processes that it started, which share its process group."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)


def print_header(children: int) -> None:
    """Print what is measured and how to read it."""
    print(f"logging one fold's run: median ms of {children} children, the ways in turn")
    print("milliseconds depend on the machine and its load: only the ratio is meant to be quoted")
    print(f"{'backend':<32}{'ours':>9}{'obvious':>10}{'ratio':>8}", flush=True)


def print_rows(name: str, timing: Timing) -> None:
    """Print a backend's rows."""
    ours, obvious = median(timing.ours), median(timing.obvious)
    title = f"{name}, {timing.child.n_values} values"
    print(f"{title:<32}{ours:>9.1f}{obvious:>10.1f}{obvious / ours:>8.1f}")
    print(f"{f'{name}, RunTree with files':<32}{median(timing.tree):>9.1f}", flush=True)


if __name__ == "__main__":
    main()
