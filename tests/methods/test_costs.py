"""Declared costs of methodologies are near those that ``benchmarks/costs.py`` has measured."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from mer_mlflow.methods import get_method, method_names

TABLE = Path(__file__).parents[2] / "benchmarks" / "costs.csv"


def measured() -> dict[str, float]:
    with TABLE.open() as file:
        return {row["method"]: float(row["seconds"]) for row in csv.DictReader(file)}


@pytest.mark.parametrize("name", method_names())
def test_declared_cost_is_within_a_factor_of_two_of_the_measured_one(name: str) -> None:
    assert 0.5 <= get_method(name).cost / measured()[name] <= 2


def test_every_methodology_was_measured() -> None:
    assert measured().keys() == set(method_names())
