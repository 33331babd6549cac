"""Progress in a log: lines now and then, with what is left."""

from __future__ import annotations

import pytest

from mer_mlflow import progress as module
from mer_mlflow.progress import progress


def test_log_has_a_line_at_the_end_with_an_estimate(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 6))
    monkeypatch.setattr(module.time, "monotonic", lambda: float(next(clock)))
    with progress("work") as advance:
        for done in range(1, 6):
            advance(done, 5)
    lines = capsys.readouterr().out.splitlines()
    assert lines == [
        "work: 2/5, 0:00:18 left",
        "work: 4/5, 0:00:06 left",
        "work: 5/5, 0:00:00 left",
    ]


def test_estimate_of_several_tasks_is_that_of_the_current_one(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress("work") as advance:
        for seconds, n_done in ((100.0, 4), (10.0, 4)):
            for done in range(1, n_done + 1):
                now += seconds
                advance(done, n_done)
    assert capsys.readouterr().out.splitlines()[4:] == [
        "work: 1/4, 0:00:30 left",
        "work: 2/4, 0:00:20 left",
        "work: 3/4, 0:00:10 left",
        "work: 4/4, 0:00:00 left",
    ]


def test_what_is_being_done_is_shown(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    with progress("folds") as advance:
        advance(0, 2)
        for epoch in range(1, 4):
            now += 6.0
            advance(0, 2, f"epoch {epoch}")
    assert capsys.readouterr().out == "folds: 0/2, ? left (epoch 2)\n"


def test_bar_of_several_tasks_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with module._bar("work") as advance:
        advance(3, 4, "a")
        advance(1, 4, "b")


def test_work_that_is_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work"):
        pass
    assert capsys.readouterr().out == ""
