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


def test_work_that_is_done_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with progress("work"):
        pass
    assert capsys.readouterr().out == ""
