"""Oversampling: the number that was asked for, between the points that were given."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mer_mlflow.augmentation.oversampling import SAMPLERS, oversample
from mer_mlflow.errors import DatasetError, ParameterError

ANY_SAMPLER = st.sampled_from(sorted(SAMPLERS))


def mixed(counts: list[int], *, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Points whose quadrants overlap."""
    labels = np.repeat(np.arange(len(counts)), counts)
    values = np.random.default_rng(seed).normal(size=(len(labels), 6))
    return values.astype(np.float32), labels


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.integers(3, 12), min_size=4, max_size=4).filter(lambda n: 2 * max(n) < sum(n)),
    ANY_SAMPLER,
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
)
def test_each_quadrant_gets_the_same_number_between_the_points(
    counts: list[int], sampler: str, n_each: int, seed: int
) -> None:
    values, labels = mixed(counts, seed=seed)
    made = oversample(values, labels, algorithm=sampler, n_each=n_each, seed=seed)
    assert np.array_equal(np.bincount(made.quadrants), [n_each] * 4)
    assert made.values.shape == (4 * n_each, values.shape[1])
    assert np.all(made.values >= values.min(axis=0) - 1e-5)
    assert np.all(made.values <= values.max(axis=0) + 1e-5)
    assert set(made.n_by_last_resort) <= {0, n_each}
    again = oversample(values, labels, algorithm=sampler, n_each=n_each, seed=seed)
    assert np.array_equal(made.values, again.values)


def test_smote_stays_inside_a_quadrant_and_borderline_leans_to_its_neighbours() -> None:
    values, labels = mixed([20] * 4)
    values[:, 0] += 10 * labels
    plain = oversample(values, labels, algorithm="smote", n_each=200, seed=0)
    for quadrant in range(4):
        own = values[labels == quadrant]
        made = plain.values[plain.quadrants == quadrant]
        assert made[:, 0].min() >= own[:, 0].min()
        assert made[:, 0].max() <= own[:, 0].max()
    values, labels = mixed([20] * 4)
    own = values[labels == 0]
    border = oversample(values, labels, algorithm="borderline_smote2", n_each=200, seed=0)
    made = border.values[border.quadrants == 0]
    outside = (made < own.min(axis=0)) | (made > own.max(axis=0))
    assert outside.any(), "no point was made between quadrants"


@pytest.mark.parametrize("sampler", ["borderline_smote2", "adasyn"])
def test_quadrant_without_a_border_is_filled_by_plain_smote_and_counted(sampler: str) -> None:
    values, labels = mixed([20] * 4)
    values[labels == 2] += 100
    made = oversample(values, labels, algorithm=sampler, n_each=5, seed=3)
    assert list(made.n_by_last_resort) == [0, 0, 5, 0]
    plain = oversample(values, labels, algorithm="smote", n_each=5, seed=3)
    is_filled = made.quadrants == 2
    assert np.array_equal(made.values[is_filled], plain.values[is_filled])


@pytest.mark.parametrize(
    ("counts", "message"),
    [([20, 1, 20, 20], "Q2 has 1 training clips: .* needs 3"), ([20, 5, 10, 5], "Q1 has 20 of 40")],
)
def test_numbers_that_cannot_be_oversampled_are_named(counts: list[int], message: str) -> None:
    values, labels = mixed(counts)
    with pytest.raises(DatasetError, match=message):
        oversample(values, labels, algorithm="smote", n_each=5, seed=0)


def test_unknown_sampler_is_named() -> None:
    with pytest.raises(ParameterError, match="sampler=smoot: unknown; samplers are borderline_"):
        oversample(*mixed([5] * 4), algorithm="smoot", n_each=5, seed=0)


def test_missing_library_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "smote_variants", None)
    with pytest.raises(ParameterError, match="needs the package smote_variants"):
        oversample(*mixed([5] * 4), algorithm="smote", n_each=5, seed=0)
