"""Watching processes: silence is counted only while this process runs itself."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from mer_mlflow.crossval.executors import watch
from mer_mlflow.crossval.executors.watch import Watch, WatchedTime


def test_time_in_which_the_machine_sleeps_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([100.0, 101.0, 40_000.0, 40_000.5])
    monkeypatch.setattr(watch.time, "monotonic", lambda: next(moments))
    watched = WatchedTime()
    assert watched.tick() == 1.0
    assert watched.tick() <= 1.0 + watch.LONGEST_TICK_SECONDS
    assert watched.tick() <= 1.5 + watch.LONGEST_TICK_SECONDS


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[bytes]]]:
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        for child in watch.psutil.Process(process.pid).children():
            child.kill()
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("code", "is_silent"),
    [
        ("import time; print(flush=True); time.sleep(60)", True),
        ("print(flush=True)\nwhile True: pass", False),
        (
            "import subprocess, sys; print(flush=True)\n"
            "subprocess.run([sys.executable, '-c', 'while True: pass'])",
            False,
        ),
    ],
    ids=["waits", "works", "lets a child work"],
)
def test_process_without_processor_time_is_silent(
    code: str, is_silent: bool, started: list[subprocess.Popen[bytes]]
) -> None:
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    started.append(process)
    assert process.stdout is not None
    process.stdout.readline()
    watched = Watch(process.pid, limit=10, now=0.0)
    watch.time.sleep(1.5)
    assert not watched.is_silent(9.0)
    assert watched.is_silent(11.0) is is_silent


def test_word_counts_as_a_sign(started: list[subprocess.Popen[bytes]]) -> None:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started.append(process)
    watch.time.sleep(0.5)
    watched = Watch(process.pid, limit=10, now=0.0)
    watched.note_sign(8.0)
    assert not watched.is_silent(12.0)
    assert watched.is_silent(18.5)
