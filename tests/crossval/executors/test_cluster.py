"""The executor of a Dask cluster: the scores of one machine, whatever happens to workers."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest
from distributed import Client

from mer_mlflow.cache import cache_root
from mer_mlflow.crossval import split_plan
from mer_mlflow.crossval.executors import (
    EpochEnded,
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldRetried,
    FoldStarted,
    make_executor,
    resolve_executor,
)
from mer_mlflow.crossval.executors import cluster as cluster_module
from mer_mlflow.crossval.executors.preparation import Preparation
from mer_mlflow.crossval.jobs import Batch, FoldResult, Job, Task
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import ClusterError, ParameterError, UntrainableError
from mer_mlflow.methods import get_method
from mer_mlflow.representations import Examples, StoredArray
from mer_mlflow.representations.store import write_entry

N_CLIPS = 60
LABELS = np.arange(N_CLIPS) % 4
CLIPS = Clips(
    name="made",
    ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
    quadrants=LABELS,
    audio=(None,) * N_CLIPS,
    audio_hashes=(None,) * N_CLIPS,
    artists=(None,) * N_CLIPS,
)
PLAN = split_plan(CLIPS, n_splits=3, n_repeats=1)


def stored(name: str, n_features: int) -> StoredArray:
    """Features in the store of this process."""
    rng = np.random.default_rng(0)
    values = (rng.normal(size=(N_CLIPS, n_features)) + LABELS[:, None] / 2).astype(np.float32)
    folder = cache_root() / "store" / name
    paths = tuple(folder / f"{i:02x}" / f"{i:02x}0.npy" for i in range(N_CLIPS))
    for path, array in zip(paths, values, strict=True):
        write_entry(path, array)
    return StoredArray(paths=paths, item_shape=(n_features,))


def make_task(features: Any, *, method: str = "svm") -> Task:
    examples = Examples(inputs=(features,), positions=np.arange(N_CLIPS), quadrants=LABELS)
    return Task(method=get_method(method), examples=examples, title=f"{method} · made-of-noise")


def in_memory(*, broken_row: int | None = None, labels: Any = LABELS) -> Task:
    features = np.random.default_rng(0).normal(size=(N_CLIPS, 5)) + LABELS[:, None] / 2
    if broken_row is not None:
        features[broken_row] = np.nan
    task = make_task(features)
    return replace(task, examples=replace(task.examples, quadrants=labels))


def slow() -> tuple[Task, list[Batch]]:
    """A task with two folds of a second or more."""
    rng = np.random.default_rng(0)
    n_clips = 2000
    labels = np.arange(n_clips) % 4
    features = rng.normal(size=(n_clips, 300))
    examples = Examples(inputs=(features,), positions=np.arange(n_clips), quadrants=labels)
    split = replace(PLAN.splits[0], train=np.arange(1800), test=np.arange(1800, n_clips))
    batches = batches_of([split, replace(split, fold=2)])
    return replace(make_task(features), examples=examples), batches


def batches_of(splits: Sequence[Any], method: str = "svm", **values: Any) -> list[Batch]:
    hyperparameters = get_method(method).resolve(values)
    return [(Job(split=split, hyperparameters=hyperparameters),) for split in splits]


def run(
    address: str | None,
    task: Task,
    batches: Sequence[Batch],
    on_event: Callable[[FoldEvent], None] = lambda event: None,
) -> list[FoldEvent]:
    events: list[FoldEvent] = []

    def note(event: FoldEvent) -> None:
        events.append(event)
        on_event(event)

    make_executor(1, cluster=address).run(task, batches, on_event=note)
    return events


def results(events: Sequence[FoldEvent]) -> dict[str, FoldResult]:
    return {each.result.split_id: each.result for each in events if isinstance(each, FoldFinished)}


def assert_equal(found: Sequence[FoldEvent], expected: Sequence[FoldEvent]) -> None:
    ours, theirs = results(found), results(expected)
    assert ours.keys() == theirs.keys() and ours
    for key, result in ours.items():
        expected_result = theirs[key]
        assert np.array_equal(
            result.prediction.probabilities, expected_result.prediction.probabilities
        )
        assert result.arithmetic == expected_result.arithmetic


def kinds(events: Sequence[FoldEvent], split: Any) -> list[type]:
    return [type(event) for event in events if event.job.split is split]


def test_scores_are_those_of_one_machine_on_workers_without_the_data(cluster: Any) -> None:
    task = make_task(stored("features-cluster", 5))
    batches = batches_of(PLAN.splits)
    events = run(cluster.address, task, batches)
    assert_equal(events, run(None, task, batches))
    for split in PLAN.splits:
        assert kinds(events, split) == [FoldStarted, FoldFinished]
    with Client(cluster.address.replace("dask", "tcp"), set_as_default=False) as client:
        names = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.task_prefixes))
    assert {f"svm · made\u2011of\u2011noise · r1 f{fold}" for fold in (1, 2, 3)} <= set(names)
    entries = [path.relative_to(cache_root()) for path in task.examples.inputs[0].paths]
    for number in range(2):
        assert all((cluster.cache(number) / entry).is_file() for entry in entries)


def test_entries_that_a_worker_has_are_not_sent_again_unless_damaged(cluster: Any) -> None:
    task = make_task(stored("features-again", 5))
    batches = batches_of(PLAN.splits)
    run(cluster.address, task, batches)
    entries = [path.relative_to(cache_root()) for path in task.examples.inputs[0].paths]
    copies = [cluster.cache(0) / entry for entry in entries]
    before = [path.stat().st_mtime_ns for path in copies]
    copies[3].write_bytes(b"damaged")
    assert_equal(run(cluster.address, task, batches), run(None, task, batches))
    after = [path.stat().st_mtime_ns for path in copies]
    assert [i for i in range(N_CLIPS) if before[i] != after[i]] == [3]


def test_epochs_of_networks_are_reported_while_they_happen(cluster: Any) -> None:
    task = make_task(stored("features-100", 100), method="dnn_100")
    batches = batches_of(PLAN.splits[:1], "dnn_100", epochs=300, learning_rate=1e-5)
    times: list[float] = []

    def stop_for_some_time(event: FoldEvent) -> None:
        if isinstance(event, EpochEnded):
            times.append(time.monotonic())
        if len(times) == 1:
            running = cluster.running()
            for process in running:
                process.suspend()
            threading.Timer(2, lambda: [process.resume() for process in running]).start()

    events = run(cluster.address, task, batches, stop_for_some_time)
    expected = run(None, task, batches)
    assert_equal(events, expected)
    assert [type(event) for event in events] == [type(event) for event in expected]
    (result,) = results(events).values()
    assert [each.epoch for each in events if isinstance(each, EpochEnded)] == list(result.epochs)
    assert len(times) == 300
    assert max(np.diff(times)) > 1, "epochs after the stop were known before it"


def test_fold_that_fails_is_tried_once_more_and_others_go_on(cluster: Any) -> None:
    task = in_memory(broken_row=int(PLAN.splits[0].test[0]))
    events = run(cluster.address, task, batches_of(PLAN.splits))
    for split in PLAN.splits:
        assert kinds(events, split) == [FoldStarted, FoldRetried, FoldStarted, FoldFailed]
    failed = [event for event in events if isinstance(event, FoldFailed)]
    assert all("NaN" in each.reason and "Traceback" in each.traceback for each in failed)
    assert all(each.is_certain for each in failed)


def test_what_fails_in_all_folds_is_known_before_any_is_started(cluster: Any) -> None:
    task = in_memory(labels=np.where(np.arange(N_CLIPS) < 4, np.arange(N_CLIPS), 0))
    events: list[FoldEvent] = []
    with pytest.raises(UntrainableError, match=r"svm cannot .*no fold was"):
        run(cluster.address, task, batches_of(PLAN.splits), events.append)
    assert events == []


def test_interruption_ends_what_workers_run(cluster: Any) -> None:
    task, batches = slow()

    def interrupt(event: FoldEvent) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(cluster.address, task, batches, interrupt)
    _, alive = psutil.wait_procs(cluster.running(), timeout=5)
    assert not alive and not cluster.running()


def test_workers_of_another_version_are_refused(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs = replace(cluster_module._needs(in_memory(), None, ()), versions={"mer_mlflow": "9.0"})
    monkeypatch.setattr(cluster_module, "_needs", lambda *_: needs)
    expected = r"worker tcp://127\.0\.0\.1:\d+ is not used: mer_mlflow \d\S+, not 9\.0, "
    with pytest.raises(ParameterError, match=expected):
        run(cluster.address, in_memory(), batches_of(PLAN.splits))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_lost_worker_loses_its_fold_only(small_cluster: Any, number: signal.Signals) -> None:
    if number == signal.SIGSTOP:
        small_cluster.scheduler.kill()
        small_cluster.scheduler.wait()
        small_cluster.start_scheduler(DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="5s")
    small_cluster.start_worker()
    lost: list[FoldEvent] = []

    def lose(event: FoldEvent) -> None:
        if not lost:
            lost.append(event)
            small_cluster.workers[0].send_signal(number)
            small_cluster.start_worker()

    task, batches = slow()
    events = run(small_cluster.address, task, batches, lose)
    assert kinds(events, batches[0][0].split) == [
        FoldStarted,
        FoldRetried,
        FoldStarted,
        FoldFinished,
    ]
    assert kinds(events, batches[1][0].split) == [FoldStarted, FoldFinished]
    (retried,) = (event for event in events if isinstance(event, FoldRetried))
    assert retried.reason.startswith("worker tcp://127.0.0.1:")
    assert retried.reason.endswith(" was lost")
    assert_equal(events, run(None, task, batches))


def test_worker_with_another_backend_is_refused_and_another_one_is_used(
    small_cluster: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    small_cluster.start_worker(KERAS_BACKEND="torch")
    small_cluster.start_worker()
    small_cluster.wait(2)
    run(small_cluster.address, in_memory(), batches_of(PLAN.splits))
    printed = capsys.readouterr().out
    assert "is not used: KERAS_BACKEND torch, not tensorflow\n" in printed
    assert printed.count("dashboard of the cluster: http://127.0.0.1:") == 1


def test_lost_scheduler_is_reported_and_the_same_executor_continues(small_cluster: Any) -> None:
    small_cluster.start_worker()
    task, batches = slow()
    quick = batches_of([replace(PLAN.splits[1], fold=3)])

    def kill(event: FoldEvent) -> None:
        if isinstance(event, FoldFinished):
            small_cluster.scheduler.kill()

    with pytest.raises(ClusterError, match=r"^the scheduler dask://\S+ is gone; 1 folds that"):
        run(small_cluster.address, task, [*quick, *batches], kill)
    small_cluster.scheduler.wait()
    small_cluster.start_scheduler()
    small_cluster.start_worker()
    assert len(results(run(small_cluster.address, task, batches[:1]))) == 1


def test_scheduler_of_another_version_is_refused(
    cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_module, "__version__", "9.0")
    with pytest.raises(ParameterError, match=r"mer_mlflow of the scheduler is \d\S+, not 9\.0; "):
        run(cluster.address, in_memory(), batches_of(PLAN.splits))


def test_no_scheduler_is_one_line() -> None:
    with pytest.raises(ParameterError, match=r"executor=dask://127\.0\.0\.1:9: no scheduler"):
        run("dask://127.0.0.1:9", in_memory(), batches_of(PLAN.splits))


def test_model_is_not_fitted_on_another_machine(tmp_path: Path) -> None:
    task = replace(in_memory(), model_folder=tmp_path)
    with pytest.raises(ParameterError, match="a model is fitted on this machine"):
        run("dask://127.0.0.1:9", task, batches_of(PLAN.splits))


@pytest.mark.parametrize("text", ["dusk://host:1", "dask://host", "dask://host:1/x", "ray"])
def test_executor_that_does_not_exist_is_refused(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ParameterError, match=f"executor={text}: must be processes, inline, or"):
        resolve_executor(text)
    monkeypatch.setenv("MER_EXECUTOR", text)
    with pytest.raises(ParameterError, match=f"MER_EXECUTOR={text}: must be"):
        resolve_executor(None)


def test_executor_is_that_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MER_EXECUTOR", raising=False)
    assert resolve_executor(None) == "processes"
    monkeypatch.setenv("MER_EXECUTOR", "dask+tls://host:8786")
    assert resolve_executor(None) == "dask+tls://host:8786"
    assert resolve_executor("inline") == "inline"


def slots(facts: dict[str, Any], *, uses_network: bool, peak: float | None) -> int:
    """Folds that a worker runs at once."""
    client = SimpleNamespace(scheduler_info=lambda: {"workers": {"a": facts}})
    preparation = Preparation(
        client,
        SimpleNamespace(),
        SimpleNamespace(),
        resource="mer",
        uses_network=uses_network,
        on_outcome=lambda outcome: None,
    )
    preparation._present = client.scheduler_info()["workers"]
    return preparation._slots_of("a", peak)


@pytest.mark.parametrize(
    ("uses_network", "peak", "gpus", "expected"),
    [
        (False, None, None, 4),
        (True, None, None, 1),
        (True, 6000.0, None, 1),
        (True, 3000.0, None, 2),
        (True, 9000.0, None, 1),
        (True, 100.0, None, 4),
        (True, 100.0, 2, 2),
        (True, 100.0, 0, 0),
        (False, 100.0, 0, 4),
    ],
)
def test_folds_of_a_worker_fit_into_its_memory(
    uses_network: bool, peak: float | None, gpus: int | None, expected: int
) -> None:
    resources = {} if gpus is None else {"GPU": gpus}
    facts = {"nthreads": 4, "memory_limit": 8 * 2**30, "resources": resources}
    assert slots(facts, uses_network=uses_network, peak=peak) == expected


TRAIN = ("train", "--method=svm", "--dataset=demo", "--duration=2", "--folds=5", "--repeats=12")


def train(folder: Path, *options: str) -> psutil.Popen:
    """Start a command whose runs are in a folder."""
    return psutil.Popen(
        [sys.executable, "-m", "mer_mlflow", *TRAIN, *options],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(__file__).parents[3]),
            "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
            "MER_JOURNAL_ROOT": str(folder / "journals"),
            "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def n_finished(folder: Path) -> int:
    """Number of finished runs that the tracking store has."""
    query = "SELECT COUNT(*) FROM runs WHERE status = 'FINISHED'"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(folder / "mlflow.db")) as db:
        return int(db.execute(query).fetchone()[0])
    return 0


def summary(printed: str) -> list[str]:
    return re.findall(r"^  \w+ +[\d.]+% ± +[\d.]+% +\[.+\]$", printed, re.M)


def test_command_continues_after_the_scheduler_was_lost(small_cluster: Any, tmp_path: Path) -> None:
    small_cluster.start_worker()
    executor = f"--executor={small_cluster.address}"
    process = train(tmp_path, executor)
    while n_finished(tmp_path) < 2:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.05)
    small_cluster.scheduler.kill()
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 3, printed + errors
    line = rf"error: the scheduler {small_cluster.address} is gone; (\d+) folds that were finished"
    assert len(errors.splitlines()) == 1
    match = re.match(line, errors)
    assert match is not None and int(match[1]) >= 2, errors

    small_cluster.scheduler.wait()
    small_cluster.start_scheduler()
    small_cluster.start_worker()
    process = train(tmp_path, executor)
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    assert f"{match[1]} folds were already done" in printed
    process = train(tmp_path, "--executor=processes", "--seed=0", "--workers=1")
    again, _ = process.communicate(timeout=120)
    assert summary(printed) and "nothing was run" in again
