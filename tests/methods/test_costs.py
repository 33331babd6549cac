"""Declared costs of methodologies are near those that ``benchmarks/costs.py`` has measured."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mer_mlflow.methods import get_method, method_names

TABLE = Path(__file__).parents[2] / "benchmarks" / "costs.csv"


BATCHES = (4, 150)


def measured() -> dict[str, tuple[float, float]]:
    with TABLE.open() as file:
        rows = csv.DictReader(file)
        return {row["method"]: (float(row["clip"]), float(row["step"])) for row in rows}


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", method_names())
def test_declared_cost_is_within_a_factor_of_two_of_the_measured_one(name: str, batch: int) -> None:
    clip, step = measured()[name]
    method = get_method(name)
    assert 0.5 <= (method.cost + method.step_cost / batch) / (clip + step / batch) <= 2


def test_every_methodology_was_measured() -> None:
    assert measured().keys() == set(method_names())
