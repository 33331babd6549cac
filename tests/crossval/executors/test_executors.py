"""Executors: the same results wherever folds run, and no fold takes another with it."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from mer_mlflow.arithmetic import PORTABLE, NotInEffectError, check_arithmetic
from mer_mlflow.crossval import split_plan
from mer_mlflow.crossval.executors import (
    FoldEvent,
    FoldFailed,
    FoldFinished,
    FoldRetried,
    FoldStarted,
    check_workers,
    make_executor,
    pool,
    resolve_workers,
)
from mer_mlflow.crossval.jobs import Batch, Job, Task, batched
from mer_mlflow.crossval.splits import Split, SplitPlan
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import ParameterError, UntrainableError
from mer_mlflow.methods import get_method
from mer_mlflow.representations import Examples
from mer_mlflow.tuning.space import Point

N_CLIPS = 60


@pytest.fixture
def plan() -> SplitPlan:
    clips = Clips(
        name="made",
        ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
        quadrants=np.arange(N_CLIPS) % 4,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
    )
    return split_plan(clips, n_splits=3, n_repeats=2)


def make_task(*, broken_row: int | None = None) -> Task:
    rng = np.random.default_rng(0)
    labels = np.arange(N_CLIPS) % 4
    features = rng.normal(size=(N_CLIPS, 5)) + labels[:, None] / 2
    if broken_row is not None:
        features[broken_row] = np.nan
    method = get_method("svm")
    return Task(
        method=method,
        examples=Examples(inputs=(features,), positions=np.arange(N_CLIPS), quadrants=labels),
    )


def batches(splits: Sequence[Split]) -> list[Batch]:
    hyperparameters = get_method("svm").resolve()
    return [(Job(split=split, hyperparameters=hyperparameters),) for split in splits]


def run(task: Task, plan: SplitPlan, workers: int) -> list[FoldEvent]:
    events: list[FoldEvent] = []
    make_executor(workers).run(task, batches(plan.splits), on_event=events.append)
    return events


def test_scores_do_not_depend_on_the_number_of_workers(plan: SplitPlan) -> None:
    outcomes = []
    for workers in (0, 1, 3):
        events = run(make_task(), plan, workers)
        finished = {e.job.split.id: e.result for e in events if isinstance(e, FoldFinished)}
        assert set(finished) == {split.id for split in plan.splits}
        outcomes.append([finished[split.id].prediction.probabilities for split in plan.splits])
    for probabilities in zip(*outcomes, strict=True):
        assert np.array_equal(probabilities[0], probabilities[1])
        assert np.array_equal(probabilities[0], probabilities[2])


@pytest.mark.parametrize("workers", [0, 2])
def test_failed_fold_is_told_and_others_go_on(plan: SplitPlan, workers: int) -> None:
    fold = plan.splits[0]
    broken = int(fold.test[0])
    events = run(make_task(broken_row=broken), plan, workers)
    failed = {e.job.split.id for e in events if isinstance(e, FoldFailed)}
    assert failed == {split.id for split in plan.splits}
    assert all("NaN" in e.reason for e in events if isinstance(e, FoldFailed))
    assert all("Traceback" in e.traceback for e in events if isinstance(e, FoldFailed))


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_fold_that_fails_is_tried_once_more(plan: SplitPlan, workers: int) -> None:
    broken = int(plan.splits[0].test[0])
    events = run(make_task(broken_row=broken), plan, workers)
    for split in plan.splits:
        kinds = [type(event) for event in events if event.job.split.id == split.id]
        assert kinds == [FoldStarted, FoldRetried, FoldStarted, FoldFailed]
    retried = [event for event in events if isinstance(event, FoldRetried)]
    assert all("NaN" in event.reason and "Traceback" in event.traceback for event in retried)


def test_killed_worker_costs_nothing_but_time(plan: SplitPlan) -> None:
    events: list[FoldEvent] = []
    killed: list[str] = []

    def on_event(event: FoldEvent) -> None:
        events.append(event)
        if isinstance(event, FoldStarted) and not killed:
            killed.append(event.job.split.id)
            worker = psutil.Process().children()[-1]
            os.kill(worker.pid, signal.SIGKILL)

    make_executor(1).run(make_task(), batches(plan.splits), on_event=on_event)
    retried = [e for e in events if isinstance(e, FoldRetried)]
    assert [e.job.split.id for e in retried] == killed
    assert "exit code -9" in retried[0].reason
    assert not any(isinstance(e, FoldFailed) for e in events)
    results = {e.job.split.id: e.result for e in events if isinstance(e, FoldFinished)}
    undisturbed = {
        e.job.split.id: e.result
        for e in run(make_task(), plan, workers=1)
        if isinstance(e, FoldFinished)
    }
    assert results.keys() == undisturbed.keys()
    for split_id, result in results.items():
        expected = undisturbed[split_id].prediction.probabilities
        assert np.array_equal(result.prediction.probabilities, expected)


def test_worker_that_cannot_start_fails_its_fold_with_its_last_words(
    plan: SplitPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool.sys, "executable", "/bin/false")
    events = run(make_task(), plan, workers=2)
    failed = [e for e in events if isinstance(e, FoldFailed)]
    assert {e.job.split.id for e in failed} == {split.id for split in plan.splits}
    assert all("exit code" in e.reason for e in failed)


def test_result_is_told_before_the_next_fold_of_the_same_worker(plan: SplitPlan) -> None:
    events = run(make_task(), plan, workers=1)
    kinds = [type(event) for event in events]
    assert kinds == [FoldStarted, FoldFinished] * len(plan.splits)


def test_interruption_leaves_no_worker(plan: SplitPlan) -> None:
    def interrupt(event: FoldEvent) -> None:
        if isinstance(event, FoldFinished):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_executor(2).run(make_task(), batches(plan.splits), on_event=interrupt)
    assert not [child for child in psutil.Process().children() if child.is_running()]


def test_workers_default_to_cores() -> None:
    assert resolve_workers(None) == os.cpu_count()
    assert resolve_workers(0) == 0
    with pytest.raises(ParameterError, match="workers=-1"):
        resolve_workers(-1)


def first_worker() -> psutil.Process:
    return next(
        child
        for child in psutil.Process().children()
        if "mer_mlflow.crossval.executors.worker" in child.cmdline()
    )


def test_stopped_worker_is_replaced(plan: SplitPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_WORKER_SILENCE", "2")
    events: list[FoldEvent] = []

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldStarted) and not events:
            first_worker().suspend()
        events.append(event)

    make_executor(1).run(make_task(), batches(plan.splits), on_event=on_event)
    retried = [event for event in events if isinstance(event, FoldRetried)]
    assert [event.reason for event in retried] == ["no sign of life for 2 s"]
    finished = {event.job.split.id for event in events if isinstance(event, FoldFinished)}
    assert finished == {split.id for split in plan.splits}
    assert not psutil.Process().children()


def test_worker_that_is_stopped_before_the_first_fold_is_replaced(
    plan: SplitPlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MER_WORKER_SILENCE", "2")
    events: list[FoldEvent] = []
    done = threading.Event()

    def stop_the_first() -> None:
        while not done.is_set():
            with contextlib.suppress(StopIteration):
                first_worker().suspend()
                return

    stopper = threading.Thread(target=stop_the_first)
    stopper.start()
    make_executor(1).run(make_task(), batches(plan.splits), on_event=events.append)
    done.set()
    stopper.join()
    assert not any(isinstance(event, FoldRetried) for event in events)
    assert sum(isinstance(event, FoldFinished) for event in events) == len(plan.splits)


def test_fold_that_takes_too_long_fails_and_others_go_on(plan: SplitPlan) -> None:
    slow = plan.splits[1].id
    events: list[FoldEvent] = []

    def on_event(event: FoldEvent) -> None:
        if isinstance(event, FoldStarted) and event.job.split.id == slow:
            first_worker().suspend()
        events.append(event)

    make_executor(1, fold_timeout=6).run(make_task(), batches(plan.splits), on_event=on_event)
    failed = [event for event in events if isinstance(event, FoldFailed)]
    assert [event.job.split.id for event in failed] == [slow]
    assert failed[0].reason == "no result within fold_timeout=6 s"
    assert failed[0].is_late and not failed[0].is_certain
    kinds = [type(event) for event in events if event.job.split.id == slow]
    assert kinds == [FoldStarted, FoldRetried, FoldStarted, FoldFailed]
    finished = {event.job.split.id for event in events if isinstance(event, FoldFinished)}
    assert finished == {split.id for split in plan.splits} - {slow}


def test_working_worker_is_no_silent_one(plan: SplitPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_WORKER_SILENCE", "0.5")
    rng = np.random.default_rng(0)
    labels = np.arange(2400) % 4
    features = rng.normal(size=(2400, 300))
    task = replace(
        make_task(),
        examples=Examples(inputs=(features,), positions=np.arange(2400), quadrants=labels),
    )
    events: list[FoldEvent] = []
    clock = time.monotonic()
    split = replace(plan.splits[0], train=np.arange(2000), test=np.arange(2000, 2400))
    make_executor(1).run(task, batches([split]), on_event=events.append)
    assert [type(event) for event in events] == [FoldStarted, FoldFinished]
    assert time.monotonic() - clock > 1


def test_task_has_no_name_in_the_temporary_folder(
    plan: SplitPlan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen: list[list[Path]] = []
    make_executor(2).run(
        make_task(),
        batches(plan.splits),
        on_event=lambda event: seen.append(list(tmp_path.iterdir())),
    )
    assert seen and not any(seen)


@pytest.mark.parametrize("workers", [0, 2])
def test_what_fails_in_all_folds_is_known_before_any_is_started(
    plan: SplitPlan, workers: int
) -> None:
    task = make_task()
    labels = np.where(np.arange(N_CLIPS) < 4, np.arange(N_CLIPS), 0)
    broken = replace(task.examples, quadrants=labels)
    events: list[FoldEvent] = []
    with pytest.raises(UntrainableError, match=r"svm cannot .*svm needs 2 .*no fold was"):
        make_executor(workers).run(
            replace(task, examples=broken), batches(plan.splits), on_event=events.append
        )
    assert events == []
    assert not psutil.Process().children()


@pytest.mark.parametrize("workers", [0, 1])
def test_fold_that_fails_twice_alike_is_certain_to_fail(plan: SplitPlan, workers: int) -> None:
    broken = int(plan.splits[0].test[0])
    events = run(make_task(broken_row=broken), plan, workers)
    assert all(event.is_certain for event in events if isinstance(event, FoldFailed))


@pytest.mark.parametrize("value", ["no", "0", "-1", "nan"])
def test_silence_that_is_no_time_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MER_WORKER_SILENCE", value)
    with pytest.raises(ParameterError, match="MER_WORKER_SILENCE="):
        check_workers(get_method("svm"), 1)


@pytest.mark.parametrize(("seconds", "workers"), [(0.0, 1), (-1.0, 1), (float("inf"), 1), (5.0, 0)])
def test_fold_timeout_that_cannot_be_kept_is_refused(seconds: float, workers: int) -> None:
    with pytest.raises(ParameterError, match="fold_timeout"):
        check_workers(get_method("svm"), workers, fold_timeout=seconds)


@pytest.mark.parametrize("threads", [1, 3])
def test_workers_compute_as_requested(threads: int, plan: SplitPlan) -> None:
    try:
        check_arithmetic(PORTABLE)
    except ParameterError as error:
        pytest.skip(str(error))
    events: list[FoldEvent] = []
    make_executor(1).run(
        replace(make_task(), threads=threads, arithmetic=PORTABLE),
        batches(plan.splits[:1]),
        on_event=events.append,
    )
    (result,) = (event.result for event in events if isinstance(event, FoldFinished))
    assert result.arithmetic["blas"] == "openblas Haswell"
    assert result.arithmetic["numpy"] == "X86_V3"
    in_use = set(result.arithmetic["threads"].split("/"))
    assert str(threads) in in_use
    assert in_use <= {str(threads), str(os.cpu_count())}, "OpenBLAS takes no more than there are"


def test_folds_of_this_process_need_a_process_that_was_started_for_them(plan: SplitPlan) -> None:
    try:
        check_arithmetic(PORTABLE)
    except ParameterError as error:
        pytest.skip(str(error))
    with pytest.raises(NotInEffectError, match="arithmetic=portable: this process was started"):
        make_executor(0).run(
            replace(make_task(), threads=1, arithmetic=PORTABLE),
            batches(plan.splits),
            on_event=lambda event: None,
        )


@pytest.mark.parametrize("workers", [0, 2])
def test_jobs_of_a_batch_give_what_each_gives_alone(plan: SplitPlan, workers: int) -> None:
    task = make_task()
    points: list[Point] = [{"C": 0.5}, {"C": 8.0, "gamma": 0.1}, {"n_features": 3}]
    settings = [get_method("svm").resolve(point) for point in points]
    together, alone = list[FoldEvent](), list[FoldEvent]()
    groups = [batch for split in plan.splits for batch in batched(task.method, split, settings)]
    assert [len(batch) for batch in groups] == [len(points)] * len(plan.splits)
    make_executor(workers).run(task, groups, on_event=together.append)
    singles = [(job,) for batch in groups for job in batch]
    make_executor(0).run(task, singles, on_event=alone.append)
    expected = {each.job: each.result for each in alone if isinstance(each, FoldFinished)}
    found = {each.job: each.result for each in together if isinstance(each, FoldFinished)}
    assert found.keys() == expected.keys() and len(found) == len(singles)
    for job, result in found.items():
        probabilities = result.prediction.probabilities
        assert np.array_equal(probabilities, expected[job].prediction.probabilities)
    assert sum(isinstance(each, FoldStarted) for each in together) == len(singles)


def test_batch_that_fails_is_tried_again_job_by_job(plan: SplitPlan) -> None:
    sizes: list[int] = []
    svm = get_method("svm")

    def refuse_many(train: Examples, settings: Sequence[Any], seed: int) -> Any:
        sizes.append(len(settings))
        if len(settings) > 1 or settings[0].C == 7:
            raise FloatingPointError("no")
        assert svm.fit_together is not None
        return svm.fit_together(train, settings, seed)

    method = replace(svm, fit_together=refuse_many)
    task = replace(make_task(), method=method, only_quadrants=True)
    good, bad = svm.resolve(), svm.resolve({"C": 7})
    split = plan.splits[0]
    batch = tuple(Job(split=split, hyperparameters=each) for each in (good, bad, good))
    events: list[FoldEvent] = []
    make_executor(0).run(task, [batch], on_event=events.append)
    assert sizes.count(3) == 1
    ends = [[type(each) for each in events if each.job is job] for job in batch]
    assert ends[0] == ends[2] == [FoldStarted, FoldRetried, FoldStarted, FoldFinished]
    assert ends[1] == [FoldStarted, FoldRetried, FoldStarted, FoldFailed]
