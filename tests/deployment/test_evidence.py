"""Evidence: the cross-validation of a model's setting."""

from __future__ import annotations

import math

import pytest

from mer_mlflow.crossval.metrics import Summary
from mer_mlflow.deployment.evidence import with_interval


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (0.7, 0.9, "80.00% [70.00%, 90.00%]"),
        (0.5, 1.1, "80.00% [50.00%, 100.00%]"),
        (-0.1, 0.9, "80.00% [0.00%, 90.00%]"),
        (math.nan, math.nan, "80.00%"),
    ],
)
def test_interval_stays_between_nothing_and_all(low: float, high: float, text: str) -> None:
    summary = Summary(mean=0.8, std=0.1, low=low, high=high, n_folds=5)
    assert with_interval(summary) == text
