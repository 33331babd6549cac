"""Statistics against values worked out by hand, another implementation, and simulated data."""

from __future__ import annotations

import math

import baycomp
import numpy as np
import pandas as pd
import pytest
import scipy.stats
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from mer_mlflow.reporting.statistics import (
    ONE_POINT,
    PAIR_COLUMNS,
    bayesian_correlated_t_test,
    compare_pairs,
    corrected_t_test,
    deciding_size,
    difference_of_means,
    holm,
)

QUANTILE_2 = 0.95 * math.sqrt(2 / (1 - 0.95**2))
"""97.5 % quantile of Student's t with 2 degrees of freedom: ``cumulative_2`` turned round."""

QUANTILE_3 = 3.182446305284263
"""97.5 % quantile with 3 degrees of freedom."""

shares = st.floats(0.01, 1)
ropes = st.floats(0, 0.1)
differences_of_scores = npst.arrays(np.float64, st.integers(2, 12), elements=st.floats(-1, 1))
p_values = npst.arrays(np.float64, st.integers(0, 8), elements=st.floats(0, 1) | st.just(math.nan))


def cumulative_2(t: float) -> float:
    """Distribution function of Student's t with 2 degrees of freedom."""
    return 1 / 2 + t / (2 * math.sqrt(2 + t**2))


def cumulative_3(t: float) -> float:
    """Distribution function of Student's t with 3 degrees of freedom."""
    x = t / math.sqrt(3)
    return 1 / 2 + (x / (1 + x**2) + math.atan(x)) / math.pi


def test_t_test_by_hand() -> None:
    test = corrected_t_test(np.array([0.01, 0.03, 0.02, 0.06]), test_share=1 / 4)
    squares = 0.02**2 + 0 + 0.01**2 + 0.03**2
    error = math.sqrt(squares / 3 * (1 / 4 + 1 / 4))
    assert cumulative_3(QUANTILE_3) == pytest.approx(0.975)
    assert test.df == 3
    assert test.mean == pytest.approx(0.03)
    assert test.t == pytest.approx(math.sqrt(27 / 7))  # 0.03 / sqrt(0.0014 / 6)
    assert test.p == pytest.approx(2 * (1 - cumulative_3(math.sqrt(27 / 7))))
    assert (test.low, test.high) == pytest.approx(
        (0.03 - QUANTILE_3 * error, 0.03 + QUANTILE_3 * error)
    )


def test_holm_by_hand() -> None:
    adjusted = holm(np.array([0.01, 0.04, math.nan, 0.03, 0.005]))
    # rising: 4 * 0.005, 3 * 0.01, 2 * 0.03, and 1 * 0.04, which may not fall below 0.06
    np.testing.assert_allclose(adjusted, [0.03, 0.06, math.nan, 0.06, 0.02])
    np.testing.assert_array_equal(holm(np.array([0.6, 0.7])), [1, 1])
    assert holm(np.array([])).shape == (0,)


def test_posterior_by_hand() -> None:
    # deviation 0.01 and 1 / 3 + 2 / 3 = 1: the scale of the posterior is 0.01
    share = 2 / 3
    symmetric = bayesian_correlated_t_test(np.array([-0.01, 0, 0.01]), test_share=share)
    assert symmetric.p_equivalent == pytest.approx(1 / math.sqrt(3))
    assert symmetric.p_better == pytest.approx((1 - 1 / math.sqrt(3)) / 2)
    assert symmetric.p_worse == symmetric.p_better
    shifted = bayesian_correlated_t_test(np.array([0.01, 0.02, 0.03]), test_share=share)
    assert shifted.p_better == pytest.approx(cumulative_2((0.02 - 0.01) / 0.01))
    assert shifted.p_worse == pytest.approx(cumulative_2((-0.01 - 0.02) / 0.01))
    assert shifted.p_equivalent == pytest.approx(cumulative_2(-1) - cumulative_2(-3))


def test_difference_of_datasets_by_hand() -> None:
    difference = difference_of_means(
        np.array([0.5, 0.6, 0.7]), np.array([0.6, 0.8]), first_share=2 / 3, second_share=1 / 2
    )
    first, second = 0.1**2 * (1 / 3 + 2 / 3), 0.02 * (1 / 2 + 1 / 2)
    assert (first + second) ** 2 / (first**2 / 2 + second**2 / 1) == pytest.approx(2)
    half = QUANTILE_2 * math.sqrt(0.03)
    assert difference.difference == pytest.approx(0.1)
    assert (difference.low, difference.high) == pytest.approx((0.1 - half, 0.1 + half))


def test_pairs_by_hand() -> None:
    scores = pd.DataFrame(
        {
            "a": [0.50, 0.60, 0.70],
            "b": [0.51, 0.62, 0.73],
            "c": [0.51, 0.63, 0.72],
            "d": [0.30, 0.40, 0.50],
        },
        index=["0-0", "0-1", "0-2"],
    )
    pairs = compare_pairs(scores, test_share=2 / 3)
    assert tuple(pairs) == PAIR_COLUMNS
    assert list(zip(pairs["first"], pairs["second"], strict=True)) == [
        ("a", "b"),
        ("a", "c"),
        ("a", "d"),
        ("b", "c"),
        ("b", "d"),
        ("c", "d"),
    ]
    p = 2 * cumulative_2(-2)  # of a and b: mean 0.02, corrected standard error 0.01
    first = pairs.iloc[0]
    assert first[["mean_difference", "low", "high"]].tolist() == pytest.approx(
        [0.02, 0.02 - QUANTILE_2 * 0.01, 0.02 + QUANTILE_2 * 0.01]
    )
    assert first[["t", "p"]].tolist() == pytest.approx([2, p])
    assert first[["p_worse", "p_equivalent", "p_better"]].tolist() == pytest.approx(
        [cumulative_2(-3), cumulative_2(-1) - cumulative_2(-3), cumulative_2(1)]
    )
    # a and d differ by a constant, b and c by 0 on average; the other pairs' t are 2, 2, -22, -22
    small = 2 * cumulative_2(-22)
    assert pairs["p"].tolist() == pytest.approx([p, p, 0, 1, small, small])
    assert pairs["p_holm"].tolist() == pytest.approx([3 * p, 3 * p, 0, 1, 5 * small, 5 * small])


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ([0.60, 0.61, 0.60, 0.61], "better"),
        ([0.40, 0.41, 0.40, 0.41], "worse"),
        ([0.50, 0.501, 0.50, 0.499], "equivalent"),
        ([0.50, 0.54, 0.50, 0.46], "undecided"),
    ],
)
def test_verdict_is_on_the_second_method(second: list[float], verdict: str) -> None:
    scores = pd.DataFrame({"first": 0.5, "second": second})
    assert compare_pairs(scores, test_share=1 / 9)["verdict"].tolist() == [verdict]


def test_wider_region_makes_methods_equivalent() -> None:
    scores = pd.DataFrame({"first": 0.5, "second": [0.60, 0.61, 0.60, 0.61]})
    pairs = compare_pairs(scores, test_share=1 / 9, rope=0.2)
    assert pairs["verdict"].tolist() == ["equivalent"]


@pytest.mark.parametrize("rope", [0, ONE_POINT])
@pytest.mark.parametrize(("n_splits", "n_repeats"), [(10, 10), (5, 3), (10, 1)])
def test_posterior_is_that_of_baycomp(rope: float, n_splits: int, n_repeats: int) -> None:
    generator = np.random.default_rng([n_splits, n_repeats])
    for shift in (-0.02, 0.0, 0.01):
        first = generator.normal(0.7, 0.03, n_splits * n_repeats)
        second = first + generator.normal(shift, 0.03, n_splits * n_repeats)
        expected = baycomp.two_on_single(first, second, rope=rope, runs=n_repeats)
        found = bayesian_correlated_t_test(second - first, test_share=1 / (n_splits - 1), rope=rope)
        outside = (found.p_worse, found.p_better)
        assert outside == pytest.approx((expected[0], expected[-1]), abs=1e-9)
        assert found.p_equivalent == pytest.approx(expected[1] if rope else 0, abs=1e-9)


@settings(deadline=None)
@given(differences_of_scores, shares, ropes)
@example(np.full(3, 0.1), 0.1, 0.01)
def test_swapped_methods_mirror_the_outcome(
    differences: NDArray[np.float64], share: float, rope: float
) -> None:
    test = corrected_t_test(differences, test_share=share)
    swapped = corrected_t_test(-differences, test_share=share)
    assert (swapped.mean, swapped.t, swapped.p) == (-test.mean, -test.t, test.p)
    assert (swapped.low, swapped.high) == (-test.high, -test.low)
    posterior = bayesian_correlated_t_test(differences, test_share=share, rope=rope)
    mirrored = bayesian_correlated_t_test(-differences, test_share=share, rope=rope)
    assert (mirrored.p_worse, mirrored.p_better) == (posterior.p_better, posterior.p_worse)
    assert mirrored.p_equivalent == posterior.p_equivalent


@settings(deadline=None)
@given(differences_of_scores, shares, ropes)
def test_probabilities_are_of_everything_there_is(
    differences: NDArray[np.float64], share: float, rope: float
) -> None:
    posterior = bayesian_correlated_t_test(differences, test_share=share, rope=rope)
    three = (posterior.p_worse, posterior.p_equivalent, posterior.p_better)
    assert min(three) >= 0
    assert sum(three) == pytest.approx(1)


@settings(deadline=None)
@given(differences_of_scores, shares)
@example(np.array([1e-14, 1e-14]), 0.1)
@example(np.full(3, 0.1), 0.1)
def test_interval_leaves_out_zero_where_the_test_rejects(
    differences: NDArray[np.float64], share: float
) -> None:
    test = corrected_t_test(differences, test_share=share)
    assert (test.p < 0.05) == (test.low > 0 or test.high < 0)


@settings(deadline=None)
@given(p_values, st.randoms(use_true_random=False))
def test_holm_raises_p_values_in_their_order(raw: NDArray[np.float64], random) -> None:
    adjusted = holm(raw)
    made = ~np.isnan(raw)
    np.testing.assert_array_equal(np.isnan(adjusted), ~made)
    assert np.all(adjusted[made] >= raw[made])
    assert np.all(adjusted[made] <= 1)
    assert np.all(np.diff(adjusted[made][np.argsort(raw[made])]) >= 0)
    order = np.array(random.sample(range(len(raw)), len(raw)), dtype=np.int64)
    np.testing.assert_array_equal(holm(raw[order]), adjusted[order])
    np.testing.assert_array_equal(holm(raw[made]), adjusted[made])


@pytest.mark.parametrize("differences", [[0.0, 0.0, 0.0], [1e-16, -1e-16, 1e-16]])
def test_same_scores_are_equivalent_for_certain(differences: list[float]) -> None:
    test = corrected_t_test(np.array(differences), test_share=1 / 9)
    assert (test.mean, test.t, test.p, test.low, test.high) == (0, 0, 1, 0, 0)
    for rope in (0, ONE_POINT):
        posterior = bayesian_correlated_t_test(np.array(differences), test_share=1 / 9, rope=rope)
        assert (posterior.p_worse, posterior.p_equivalent, posterior.p_better) == (0, 1, 0)


def test_constant_difference_is_certain() -> None:
    scores = pd.DataFrame({"first": [0.5, 0.6, 0.7], "second": [0.6, 0.7, 0.8]})
    differences = (scores["second"] - scores["first"]).to_numpy()
    assert len(set(differences)) > 1  # by rounding errors only
    test = corrected_t_test(differences, test_share=1 / 9)
    assert (test.t, test.p) == (math.inf, 0)
    assert test.low == test.high == test.mean == pytest.approx(0.1)
    assert corrected_t_test(-differences, test_share=1 / 9).t == -math.inf
    assert compare_pairs(scores, test_share=1 / 9)["p_better"].tolist() == [1]


def test_region_includes_its_edges() -> None:
    posterior = bayesian_correlated_t_test(np.full(3, 0.1), test_share=1 / 9, rope=0.1)
    assert posterior.p_equivalent == 1


@pytest.mark.parametrize(
    ("differences", "share"), [([0.1], 1 / 9), ([0.1, 0.2, 0.3], None), ([0.1, 0.1], None)]
)
def test_nothing_is_inferred_from_one_fold_or_one_test_set(
    differences: list[float], share: float | None
) -> None:
    test = corrected_t_test(np.array(differences), test_share=share)
    assert test.mean == pytest.approx(np.mean(differences))
    assert np.isnan([test.t, test.p, test.low, test.high]).all()
    posterior = bayesian_correlated_t_test(np.array(differences), test_share=share)
    assert np.isnan([posterior.p_worse, posterior.p_equivalent, posterior.p_better]).all()
    pairs = compare_pairs(pd.DataFrame({"a": 0.0, "b": differences}), test_share=share)
    assert pairs["verdict"].tolist() == ["undecided"]
    assert pairs["p_holm"].isna().all()
    difference = difference_of_means(
        np.array([0.1, 0.2]), np.array(differences), first_share=1 / 9, second_share=share
    )
    assert np.isnan([difference.low, difference.high]).all()


def test_datasets_without_spread_have_an_interval_of_no_width() -> None:
    difference = difference_of_means(
        np.full(3, 0.5), np.full(4, 0.7), first_share=1 / 9, second_share=1 / 9
    )
    assert difference.low == difference.high == pytest.approx(0.2)


def test_one_method_has_no_pairs() -> None:
    pairs = compare_pairs(pd.DataFrame({"a": [0.5, 0.6]}), test_share=1 / 9)
    assert tuple(pairs) == PAIR_COLUMNS
    assert pairs.empty


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (pd.DataFrame({"svm": [0.5, 0.6], "cnn": [0.5, math.nan]}), "no score of cnn on split 1"),
        (pd.DataFrame({"svm": [0.5, 0.6], "cnn": 0.5}, index=["x", "x"]), "more than once: x"),
        (pd.DataFrame({"svm": [], "cnn": []}, dtype=float), "no scores"),
    ],
)
def test_unpaired_scores_are_refused(scores: pd.DataFrame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        compare_pairs(scores, test_share=1 / 9)


def test_negative_region_is_refused() -> None:
    with pytest.raises(ValueError, match="it must be 0 or more"):
        bayesian_correlated_t_test(np.array([0.1, 0.2]), test_share=1 / 9, rope=-0.1)


N_CLASSES, CLIPS_PER_CLASS, N_FEATURES = 4, 40, 5
N_SPLITS, N_REPEATS = 10, 10
N_DATASETS = 1000


def test_equally_good_learners_are_rarely_told_apart() -> None:
    """Both learners take nearest centroids, each from its own block of equally telling features."""
    generator = np.random.default_rng(0)
    corrected, naive = [], []
    for _ in range(N_DATASETS):
        first, second = simulated_accuracies(generator)
        test = corrected_t_test(second - first, test_share=1 / (N_SPLITS - 1))
        corrected.append(test.p < 0.05)
        naive.append(scipy.stats.ttest_rel(second, first).pvalue < 0.05)
    rates = np.mean(corrected), np.mean(naive)
    print(f"\nfalse positives at 5 %: corrected {rates[0]:.1%}, naive {rates[1]:.1%}")
    assert rates[0] < 0.08
    assert rates[1] > 2 * rates[0]


def simulated_accuracies(generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw a dataset and cross-validate both learners on it [shape=(2, n_repeats * n_splits)]."""
    labels = np.repeat(np.arange(N_CLASSES), CLIPS_PER_CLASS)
    means = 0.8 * np.eye(N_CLASSES, N_FEATURES)
    features = means[labels] + generator.normal(size=(2, len(labels), N_FEATURES))
    fold_of_clip = stratified_folds(generator)
    is_tested = fold_of_clip[:, np.newaxis] == np.arange(N_SPLITS)[:, np.newaxis]
    by_class = features.reshape(2, N_CLASSES, CLIPS_PER_CLASS, N_FEATURES)
    tested_by_class = is_tested.reshape(-1, N_CLASSES, CLIPS_PER_CLASS).swapaxes(0, 1)
    tested_sums = tested_by_class.astype(np.float64) @ by_class
    n_trained = CLIPS_PER_CLASS * (N_SPLITS - 1) / N_SPLITS
    centroids = (by_class.sum(axis=2, keepdims=True) - tested_sums) / n_trained
    # the squared distance less the clip's own square, which is the same for all centroids
    distances = (centroids**2).sum(axis=-1)[..., np.newaxis] - 2 * centroids @ features[
        :, np.newaxis
    ].swapaxes(-1, -2)
    is_right = distances.argmin(axis=1) == labels
    n_tested = len(labels) // N_SPLITS
    return (is_right & is_tested.reshape(-1, len(labels))).sum(axis=-1) / n_tested


def spread(mean: float, std: float, n: int) -> NDArray[np.float64]:
    """Differences with this mean and standard deviation."""
    values = np.resize([-1.0, 1.0], n)
    return mean + values * std / float(np.std(values, ddof=1))


def test_more_repetitions_decide_a_clear_difference() -> None:
    differences = spread(0.05, 0.06, 10)
    assert bayesian_correlated_t_test(differences, test_share=1 / 9).verdict == "undecided"
    size = deciding_size(differences, test_share=1 / 9, n_splits=10)
    assert 1 < size.n_repeats < 20
    folds = spread(0.05, 0.06, 10 * int(size.n_repeats))
    # with more folds, the same spread gives a slightly different deviation
    assert bayesian_correlated_t_test(folds, test_share=1 / 9).p_better > 0.94


def test_only_more_clips_decide_a_small_difference() -> None:
    size = deciding_size(spread(0.03, 0.06, 100), test_share=1 / 9, n_splits=10)
    assert math.isinf(size.n_repeats)
    assert 1 < size.clips_factor < 128
    assert (
        bayesian_correlated_t_test(
            spread(0.03, 0.06 / math.sqrt(size.clips_factor), 200), test_share=1 / 9
        ).verdict
        == "better"
    )


def test_nothing_decides_a_difference_of_one_point() -> None:
    size = deciding_size(spread(ONE_POINT, 0.05, 100), test_share=1 / 9, n_splits=10)
    assert (size.n_repeats, size.clips_factor) == (math.inf, math.inf)
    assert math.isinf(deciding_size(spread(0.2, 0.01, 10), test_share=None, n_splits=10).n_repeats)


def stratified_folds(generator: np.random.Generator) -> NDArray[np.int64]:
    """Fold in which each clip is tested [shape=(n_repeats, n_clips)]."""
    equally_often = np.arange(CLIPS_PER_CLASS) % N_SPLITS
    folds = np.broadcast_to(equally_often, (N_REPEATS, N_CLASSES, CLIPS_PER_CLASS))
    return generator.permuted(folds, axis=2).reshape(N_REPEATS, -1)
