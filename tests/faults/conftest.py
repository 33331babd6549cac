"""Faults: how many examples each property is tried with, how files are damaged, and processes to
be killed or to be starved."""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mer_mlflow.errors import MerError

EXAMPLES = int(os.environ.get("MER_FAULT_EXAMPLES", "15"))
"""Of each test; of tests that take long for one, a fifth of it."""
for name, n_examples in (("faults", EXAMPLES), ("slow faults", max(1, EXAMPLES // 5))):
    settings.register_profile(
        name,
        max_examples=n_examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
Step = tuple[str, int | float, int | float, bytes]
STEPS: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.deferred(lambda: st.sampled_from(sorted(DAMAGES))),
        st.integers(-200, 200) | st.floats(0, 1),
        st.integers(1, 16) | st.floats(0, 1),
        st.binary(min_size=1, max_size=16),
    ),
    min_size=1,
    max_size=3,
)
"""Kind of each damage, where it starts and how long it is – in bytes, from the end where negative
or as a share of all – and what is written there. Both ends have what the rest is read by.
"""
Damage = Callable[[bytes, int, int, bytes], bytes]
DAMAGES: dict[str, Damage] = {
    "cut": lambda content, start, size, filler: content[:start],
    "behead": lambda content, start, size, filler: content[start:],
    "remove": lambda content, start, size, filler: content[:start] + content[start + size :],
    "insert": lambda content, start, size, filler: content[:start] + filler + content[start:],
    "replace": lambda content, start, size, filler: (
        content[:start] + filler + content[start + len(filler) :]
    ),
    "zero": lambda content, start, size, filler: (
        content[:start] + bytes(len(content[start : start + size])) + content[start + size :]
    ),
    "invert": lambda content, start, size, filler: (
        content[:start]
        + bytes(255 - byte for byte in content[start : start + size])
        + content[start + size :]
    ),
    "repeat": lambda content, start, size, filler: content[: start + size] + content[start:],
    "swap": lambda content, start, size, filler: (
        content[:start]
        + content[start + size : start + 2 * size]
        + content[start : start + size]
        + content[start + 2 * size :]
    ),
}


@pytest.fixture(scope="session")
def damaged() -> Callable[[Any, bytes], bytes]:
    """Draw how content is damaged, and damage it."""

    def damage(data: Any, content: bytes) -> bytes:
        for kind, place, length, filler in data.draw(STEPS, label="damages"):
            end = len(content)
            start, size = (
                round(share * end) if isinstance(share, float) else share
                for share in (place, length)
            )
            content = DAMAGES[kind](
                content, max(0, start + end if start < 0 else start), size, filler
            )
        return content

    return damage


@pytest.fixture(scope="session")
def refusal() -> Callable[[Callable[[], Any], type[MerError]], str | None]:
    """Call something: the one line that it refuses with, None where it does not."""

    def refused(call: Callable[[], Any], kind: type[MerError]) -> str | None:
        try:
            call()
        except kind as error:
            words = str(error)
            assert words
            assert len(words.splitlines()) == 1
            return words
        return None

    return refused


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


ROOT = Path(__file__).parents[2]
COMMAND = "from mer_mlflow.commands.main import main; main()"
PRELOADED = (
    "mer_mlflow.commands.main",
    "mer_mlflow.commands.train",
    "mer_mlflow.methods.svm",
    "mer_mlflow.tracking",
    "mer_mlflow.tuning.study",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "optuna",
    "soundfile",
)
BECOME_A_COMMAND = """
import os, sys
os.setsid()
for number, file in ((1, output + ".out"), (2, output + ".err")):
    os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
os.chdir(folder)
os.environ.clear()
os.environ.update(environment)
sys.argv = ["mer", *arguments]
exec(code, {"__name__": "__main__"})
"""


@dataclass(frozen=True)
class Done:
    """How a process ended, and what it wrote."""

    returncode: int | None
    stdout: str
    stderr: str


@dataclass(frozen=True)
class Started:
    """A process that leads a session of its own, so that all it starts can be killed with it."""

    process: BaseProcess
    output: Path

    def wait(self, seconds: float | None = None) -> int | None:
        """Its exit code, None where it has not ended by then."""
        self.process.join(seconds)
        return self.process.exitcode

    def kill(self) -> None:
        """Kill it and all that it started."""
        assert self.process.pid is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.join()

    def done(self) -> Done:
        """Wait for its end."""
        code = self.wait()
        stdout, stderr = (
            self.output.with_suffix(suffix).read_text() for suffix in (".out", ".err")
        )
        return Done(code, stdout, stderr)


Start = Callable[..., Started]


@pytest.fixture(scope="session")
def forks() -> Any:
    """Makes processes that have imported what commands import, and have done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(list(PRELOADED))
    return context


@pytest.fixture
def start(
    forks: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Start]:
    """Function that starts code, or a command, in a new process with this one's environment."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT), prepend=os.pathsep)
    outputs = tmp_path_factory.mktemp("outputs")
    started: list[Started] = []

    def begin(
        *arguments: str, code: str = COMMAND, environment: Mapping[str, str] | None = None
    ) -> Started:
        output = outputs / f"{len(started)}.out"
        own = {
            "arguments": arguments,
            "code": code,
            "environment": {**os.environ, **(environment or {})},
            "folder": str(Path.cwd()),
            "output": str(output.with_suffix("")),
        }
        process = forks.Process(target=exec, args=(BECOME_A_COMMAND, own))
        process.start()
        while process.is_alive() and os.getsid(process.pid) != process.pid:
            time.sleep(0.001)
        started.append(Started(process, output))
        return started[-1]

    yield begin
    for each in started:
        if each.process.is_alive():
            each.kill()


EACH = """
import sys
from itertools import groupby
from mer_mlflow.commands.main import run

for is_end, words in groupby(sys.argv[1:], lambda word: word == "end"):
    if not is_end:
        try:
            run(list(words))
        except SystemExit as stop:
            for stream in (sys.stdout, sys.stderr):
                print(f"\\nend {stop.code}", file=stream, flush=True)
"""
"""Runs several commands, and writes after each how it ended."""


@dataclass(frozen=True)
class Typed:
    """How a command ended, and the bytes that it wrote."""

    code: int
    stdout: bytes
    stderr: bytes


@pytest.fixture
def type_each() -> Callable[..., list[Typed]]:
    """Function that runs commands, one after the other, in a process that starts anew."""

    def type_each(
        commands: Sequence[Sequence[str | bytes]], *, environment: Mapping[str, str]
    ) -> list[Typed]:
        words = [word for command in commands for word in (*command, "end")]
        process = subprocess.run(
            [sys.executable, "-c", EACH, *words],
            env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
            capture_output=True,
        )
        assert process.returncode == 0, process.stderr
        stdout, stderr = (
            re.split(rb"\nend (\d+)\n", text) for text in (process.stdout, process.stderr)
        )
        assert len(stdout) == len(stderr) == 2 * len(commands) + 1
        ends = zip(stderr[1::2], stdout[:-1:2], stderr[:-1:2], strict=True)
        return [Typed(int(code), out, err) for code, out, err in ends]

    return type_each
