"""Separation of quadrants by one column, against that of chance and of real features."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.checks.separation import (
    SIGNIFICANCE,
    groupings,
    most_changes,
    separates,
    separation,
)

LABELS = np.repeat(np.arange(4), 50)
"""Sorted by quadrant: columns of equal values must not look like labels."""


def is_found(column: np.ndarray, labels: np.ndarray = LABELS) -> bool:
    return bool(separates(np.asarray(column, dtype=float)[:, np.newaxis], labels)[0])


def test_groupings_are_all_partitions_of_the_quadrants() -> None:
    assert len(groupings(4)) == 14
    assert len(set(groupings(4))) == 14
    assert groupings(2) == ((0, 1),)
    assert groupings(1) == ()


def test_separation_is_0_in_a_random_order_and_1_where_groups_lie_in_one_place() -> None:
    assert separation(1, (50, 50)) == 1
    assert separation(3, (5, 5, 5, 5)) == 1
    assert separation(50, (50, 50)) == 0
    assert separation(1, (3,)) == 0


@pytest.mark.parametrize("sizes", [(8, 8), (5, 15), (4, 4, 4, 4), (3, 60), (6, 6, 20)])
def test_random_orders_have_rarely_so_few_changes(sizes: tuple[int, ...]) -> None:
    groups = np.repeat(np.arange(len(sizes)), sizes)
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(groups) for _ in range(20_000)])
    changes = (np.diff(orders, axis=1) != 0).sum(axis=1)
    assert (changes <= most_changes(sizes, n_trials=1)).mean() <= SIGNIFICANCE


def test_few_clips_show_nothing_and_many_need_not_be_perfect() -> None:
    assert most_changes((4, 4), n_trials=1400) < 1
    assert most_changes((2, 2, 2, 2), n_trials=1400) < 3
    assert most_changes((40, 40), n_trials=1400) == 4
    assert separation(most_changes((450, 450), n_trials=1400), (450, 450)) >= 0.8


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1), (3, 1, 0, 2)])
@pytest.mark.parametrize("noise", [0.0, 0.1, 0.3])
@pytest.mark.parametrize("scale", [-1e-9, 1.0, 1e9])
def test_label_with_noise_is_found(order: tuple[int, ...], noise: float, scale: float) -> None:
    codes = np.array(order)[LABELS]
    column = codes + noise * np.random.default_rng(0).normal(size=len(LABELS))
    assert is_found(scale * np.exp(column))


@pytest.mark.parametrize("high", [(0, 1), (0, 3), (0, 2), (0,), (1,), (2,), (3,)])
def test_groups_of_quadrants_are_found(high: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    is_high = np.isin(LABELS, high)
    assert is_found(is_high)
    assert is_found(np.where(is_high, 1, -1) * rng.uniform(0.01, 1, len(LABELS)))


def test_codes_of_moods_are_found() -> None:
    """Each mood belongs to one quadrant, and no threshold separates them."""
    rng = np.random.default_rng(0)
    moods = rng.permutation(20)
    assert is_found(moods[5 * LABELS + rng.integers(5, size=len(LABELS))])


def test_a_label_with_a_few_errors_is_found() -> None:
    rng = np.random.default_rng(0)
    wrong = rng.random(len(LABELS)) < 0.05
    assert is_found(np.where(wrong, rng.integers(4, size=len(LABELS)), LABELS))


@pytest.mark.parametrize("shift", [0.0, 0.5, 1.0, 1.5])
def test_features_as_strong_as_real_ones_are_not_found(shift: float) -> None:
    """1.5 deviations between halves: an area of 0.86 under the curve, as the best published one."""
    values = np.random.default_rng(0).normal(size=(len(LABELS), 500))
    values[:, :250] += shift * (LABELS < 2)[:, np.newaxis]
    values[:, 250:] += shift * (LABELS == 1)[:, np.newaxis]
    assert not separates(values, LABELS).any()


def test_equal_values_in_a_sorted_table_are_not_found() -> None:
    assert not is_found(np.zeros(len(LABELS)))
    assert not is_found(np.arange(len(LABELS)) % 2)


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    counts=st.lists(st.integers(0, 40), min_size=4, max_size=4).filter(any),
    n_values=st.sampled_from([0, 2, 3, 4, 10]),
)
def test_random_columns_are_not_found(seed: int, counts: list[int], n_values: int) -> None:
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(4), counts)
    shape = (len(labels), 100)
    values = rng.integers(n_values, size=shape) if n_values else rng.normal(size=shape)
    assert not separates(values.astype(float), labels).any()
