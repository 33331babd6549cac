"""Portable arithmetic gives what was recorded, bit by bit, whatever x86-64 processor is used.

The record is compared wherever the tests run. This file, run as a script
(``python tests/test_portable.py``), writes it anew: after a change of a method or of a library's
version, and the commit says why.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from mer_mlflow.arithmetic import PORTABLE, check_arithmetic, environment
from mer_mlflow.errors import ParameterError

FILE = Path(__file__).with_name("portable.json")
ROOT = Path(__file__).parents[1]


def outcomes(**variables: str) -> dict[str, list[object]]:
    """What the trainings give in a process of portable arithmetic that others surround."""
    done = subprocess.run(
        [sys.executable, "tests/portable_run.py"],
        cwd=ROOT,
        env={**environment(PORTABLE), "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, list[object]] = {}
    for line in done.stdout.splitlines():
        found |= json.loads(line)
    return found


@pytest.fixture(scope="module", autouse=True)
def processor() -> None:
    try:
        check_arithmetic(PORTABLE)
    except ParameterError as error:
        pytest.skip(str(error))


def test_portable_results_are_those_that_were_recorded() -> None:
    assert outcomes() == json.loads(FILE.read_text())


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(each)}" for name, each in outcomes().items()]
    FILE.write_text("{\n " + ",\n ".join(lines) + "\n}\n")
