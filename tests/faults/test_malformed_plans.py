"""Damaged plans of studies: a plan, or one line that names the file."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.errors import ParameterError
from mer_mlflow.studies.plan import plan_text
from mer_mlflow.studies.reading import (
    GATE_KEYS,
    METHOD_KEYS,
    PLAN_KEYS,
    SEARCH_KEYS,
    VARIANT_KEYS,
    built_in_plans,
    parse_plan,
    read_plan,
)

FAULTS = settings.get_profile("faults")
Read = Callable[[bytes], str | None]
MADE = b"""
title: The comparison study
profile: paper
folds: 5
duration: 10
datasets: [original-4qaed, new-4qaed-c]
data_roots: {new-4qaed-c: there}
methods:
  - svm
  - cnn: {hyperparameters: {momentum: 8e-1}, duration: 10, max_epochs: 5}
  - dnn_100: {features: extracted}
searches:
  svm: {strategy: grid, repeats: 1, per_dataset: true}
  cnn: {space: "learning_rate=0.001,0.01;batch_size=100,150", variants: {repeats: 2}}
gate: {baseline: cnn, tables: [6, 7], except: [cnn_artist]}
"""
NESTS = ("[" * 5000, "{a: " * 5000, "- " * 5000, "? " * 5000, "a:\n" + " b:\n" * 3000)
TAGS = (
    *("!!int ''", "!!float ''", "!!bool x", "!!timestamp x", "!!binary é", "!!int x", "!!int 0b"),
    *("!!set {a, b}", "!!omap [a: 1]", "!!pairs [a: 1]", "!!null x", "!!merge x", "!!value =", "="),
    *("!!python/name:os.system ''", "!!python/object/apply:os.system [true]", "!unknown x", "! x"),
    *("2001-01-01", "2001-99-99", "0x" + "F" * 5000, "9" * 5000, "1:60:60", "0o17", ".inf", ".nan"),
    *("&a [*a]", "&a {<<: *a}", "*nowhere", "{<<: 3}", "{<<: [1]}", "{[a]: b}", "{? {a: b}: c}"),
    *(
        "'\\x00'",
        '"\\0"',
        '"\\ud800"',
        '"a\\nb"',
        "|\n  a\n  b",
        "\tfolds",
        "~",
        "yes",
        "@",
        "%x",
        "`",
    ),
)


def bomb(line: str) -> str:
    """Nine times nine times nine … by aliases: a line for each level."""
    names = "abcdefghij"
    return "\n".join(
        line.format(name=name, many=", ".join([f"*{before}"] * 9))
        for before, name in itertools.pairwise(names)
    )


BOMBS = (
    "title: &a [x, x]\n" + bomb("{name}: &{name} [{many}]"),
    "title: &a {x: 1}\n" + bomb("{name}: &{name} {{<<: [{many}]}}"),
    "methods: &a [svm, cnn]\n" + bomb("{name}: &{name} {{k: [{many}]}}"),
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.dates()
    | st.binary(max_size=4)
    | st.sampled_from(["svm", "cnn", "demo", "original-4qaed", "paper", "all", "grid", "C=1,2"])
)
KEYS = (*PLAN_KEYS, *METHOD_KEYS, *SEARCH_KEYS, *GATE_KEYS, *VARIANT_KEYS, "svm", "cnn", "demo")
VALUES: Any = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(KEYS) | st.integers(), inner, max_size=4)
    ),
    max_leaves=16,
)


def originals() -> Mapping[str, bytes]:
    folder = resources.files("mer_mlflow.studies")
    built_in = {name: (folder / f"{name}.yaml").read_bytes() for name in built_in_plans()}
    return {**built_in, "made": MADE}


@pytest.fixture
def read(
    scratch: Path, refusal: Callable[..., str | None], monkeypatch: pytest.MonkeyPatch
) -> Read:
    """Read a file as a plan: what it is refused with, None for a plan that can be written out."""

    def read(content: bytes) -> str | None:
        path = scratch / "study.yaml"
        path.write_bytes(content)

        def check() -> None:
            plan = read_plan(str(path))
            assert parse_plan(plan_text(plan), name=plan.name, file="written") == plan

        words = refusal(check, ParameterError)
        assert words is None or str(path) in words
        assert words is None or len(words) < 2000
        return words

    return read


def test_undamaged_plans_are_read(read: Read) -> None:
    for content in originals().values():
        assert read(content) is None


@FAULTS
@given(data=st.data(), name=st.sampled_from(sorted(originals())))
def test_plans_of_damaged_bytes_are_read_or_named(
    read: Read, damaged: Any, data: Any, name: str
) -> None:
    read(damaged(data, originals()[name]))


@FAULTS
@given(
    content=st.sampled_from(sorted(originals().values())),
    place=st.floats(0, 1),
    odd=st.sampled_from((*TAGS, *NESTS)) | st.text(),
    encoding=st.sampled_from(["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "utf-32"]),
)
def test_plans_with_odd_words_are_read_or_named(
    read: Read, content: bytes, place: float, odd: str, encoding: str
) -> None:
    """A value, wherever one is expected, is another."""
    lines = content.decode().splitlines()
    which = round(place * (len(lines) - 1))
    key, separator, _ = lines[which].partition(": ")
    lines[which] = f"{key}{separator}{odd}"
    read("\n".join(lines).encode(encoding, errors="replace"))


@FAULTS
@given(values=st.dictionaries(st.sampled_from(PLAN_KEYS), VALUES, max_size=6))
def test_any_mapping_is_read_or_named(read: Read, values: dict[str, Any]) -> None:
    read(yaml.dump(values, allow_unicode=True).encode("utf-8", errors="replace"))


@pytest.mark.parametrize(
    "plan", ["folds: {}", "methods: [cnn: {{hyperparameters: {{batch_size: {}}}}}]", "title: {}"]
)
def test_numbers_too_long_to_be_written_are_named(read: Read, plan: str) -> None:
    assert read(plan.format("0x" + "F" * 5000).encode())


@pytest.mark.parametrize("text", TAGS)
def test_odd_values_are_read_or_named(read: Read, text: str) -> None:
    for key in PLAN_KEYS:
        read(f"{key}: {text}".encode("utf-8", errors="replace"))


@pytest.mark.parametrize("text", [*NESTS, *BOMBS])
def test_documents_that_never_end_are_named(read: Read, text: str) -> None:
    assert read(text.encode())
