"""A run's values come back exact from JSON, and what is no run's values is refused."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.archive.record import Figure, Input, Record, from_json, to_json

texts = st.text(max_size=20)
whole = st.integers(-(2**63), 2**63 - 1)
figures = st.builds(Figure, value=st.floats(), timestamp=whole, step=whole)
inputs = st.builds(
    Input,
    name=texts,
    digest=texts,
    source_type=texts,
    source=texts,
    schema=st.none() | texts,
    profile=st.none() | texts,
    tags=st.dictionaries(texts, texts, max_size=3),
)
records = st.builds(
    Record,
    run_id=texts,
    name=texts,
    status=st.sampled_from(["FINISHED", "FAILED", "KILLED"]),
    start_time=whole,
    end_time=st.none() | whole,
    params=st.dictionaries(texts, texts, max_size=3),
    tags=st.dictionaries(texts, texts, max_size=3),
    metrics=st.dictionaries(texts, st.lists(figures, max_size=3).map(tuple), max_size=3),
    inputs=st.lists(inputs, max_size=2).map(tuple),
)


@settings(max_examples=100, deadline=None)
@given(record=records)
def test_values_come_back_exact(record: Record) -> None:
    back = from_json(json.loads(json.dumps(to_json(record), allow_nan=False)))
    assert repr(back) == repr(record)  # NaN is not equal to itself


GOOD = to_json(
    Record(
        run_id="a",
        name="svm",
        status="FINISHED",
        start_time=1,
        end_time=None,
        params={"C": "1"},
        tags={},
        metrics={"f1": (Figure(value=math.nan, timestamp=1, step=0),)},
        inputs=(),
    )
)


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "RUNNING"},
        {"status": []},
        {"name": None},
        {"name": "\ud800"},
        {"start_time": "1"},
        {"start_time": True},
        {"start_time": 2**64},
        {"params": []},
        {"params": {"C": 1}},
        {"tags": None},
        {"metrics": {"f1": [[1.0, 1]]}},
        {"metrics": {"f1": [["nan", 1, 0]]}},
        {"metrics": {"f1": [[True, 1, 0]]}},
        {"metrics": {"f1": [[10**400, 1, 0]]}},
        {"metrics": {"f1": 3}},
        {"inputs": [{}]},
        {"inputs": 1},
    ],
)
def test_other_values_are_refused(wrong: dict[str, Any]) -> None:
    from_json(GOOD)
    with pytest.raises(ValueError, match=r"\S"):
        from_json(GOOD | wrong)
    (key,) = wrong
    with pytest.raises(ValueError, match=key):
        from_json({name: value for name, value in GOOD.items() if name != key})


@pytest.mark.parametrize("wrong", [None, [], "run", 3])
def test_what_is_no_mapping_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="Error"):
        from_json(wrong)
