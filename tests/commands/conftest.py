"""Items of studies in this process."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event

import pytest

from mer_mlflow.commands import study as command
from mer_mlflow.commands.command import run_command
from mer_mlflow.commands.main import dispatch
from mer_mlflow.studies.process import Outcome


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Run items in this process, which is quick; gives what was run."""
    commands: list[str] = []

    @contextmanager
    def environment(variables: Mapping[str, str]) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ.keys() - variables.keys():
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            yield

    def run(
        words: Sequence[str], *, prefix: str, environment: Mapping[str, str], stopped: Event
    ) -> Outcome:
        arguments = words[3:]  # behind python -m mer_mlflow
        commands.append(prefix.removesuffix(" | ").strip())
        with here(environment), pytest.raises(SystemExit) as stop:
            run_command(lambda: dispatch(arguments))
        return Outcome(code=int(str(stop.value.code)), seconds=1.0, reason="it said so")

    here = environment
    monkeypatch.setattr(command, "run_process", run)
    return commands
