"""Selection of features: by what they tell, without saying it twice."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mer_mlflow.training.feature_selection import MostRelevant

LABELS = np.arange(80) % 4


def noise(n_features: int, *, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(len(LABELS), n_features))


def chosen(values: NDArray[np.float64], n_features: int) -> list[int]:
    selection = MostRelevant(n_features=n_features).fit(values, LABELS)
    return list(selection.get_support(indices=True))


def test_features_that_tell_quadrants_apart_are_chosen() -> None:
    values = noise(30)
    values[:, [3, 17, 29]] += np.eye(4)[LABELS][:, :3] * 6
    assert chosen(values, 3) == [3, 17, 29]


def test_of_features_that_say_the_same_the_most_relevant_stays() -> None:
    values = noise(6)
    values[:, 1] += 3 * LABELS
    values[:, 4] = -2 * values[:, 1] + 0.3 * noise(1, seed=1)[:, 0]
    values[:, 5] += LABELS
    assert chosen(values, 2) == [1, 5]
    assert chosen(values, 6) == [0, 1, 2, 3, 4, 5]


@settings(deadline=None, max_examples=30)
@given(
    n_features=st.integers(1, 12), wanted=st.integers(1, 15), copies=st.lists(st.integers(0, 11))
)
def test_as_many_are_chosen_as_asked_whatever_is_alike(
    n_features: int, wanted: int, copies: list[int]
) -> None:
    values = noise(n_features)
    for column in copies:
        values[:, column % n_features] = values[:, 0]
    assert len(set(chosen(values, wanted))) == min(n_features, wanted)


def test_features_that_never_change_come_last() -> None:
    values = noise(3)
    values[:, 1] = 7.0
    assert chosen(values, 2) == [0, 2]


def test_features_that_are_the_quadrant_itself_come_first() -> None:
    values = noise(4)
    values[:, 2] = LABELS
    assert chosen(values, 1) == [2]


def test_missing_values_are_refused() -> None:
    values = noise(3)
    values[5, 1] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        chosen(values, 2)
