"""Faults: how many examples each property is tried with, and how files are damaged."""

from __future__ import annotations

import os
from collections.abc import Callable
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
