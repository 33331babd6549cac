"""Statistical tests for repeated cross-validation.

Training sets of folds overlap, and repetitions have the same clips. The variance over folds
therefore underestimates the variance of a mean with new data, and tests for independent samples
have too many false positives. All functions use a corrected standard error, see
``corrected_standard_error``. The correction is approximate: there is no unbiased estimate of that
variance.

Scores are 0 to 1, and a difference is always the second method minus the first.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import scipy.stats
from numpy.typing import NDArray

from mer_mlflow.crossval.metrics import LEVEL, corrected_standard_error, summarise
from mer_mlflow.errors import listing

ONE_POINT = 0.01
"""Half-width of the region of practical equivalence: one per cent of the scale."""

DECISIVE = 0.95
"""Minimum posterior probability of a verdict."""

UNDECIDED = "undecided"
MOST_REPEATS = 20
"""Largest number of repetitions that is suggested for a decision."""
MOST_DOUBLINGS = 7
"""Doublings of the number of clips that are tried for a decision."""

DECIMALS = 12
"""Significant decimals of a difference; further ones may be rounding errors of the scores."""

PAIR_COLUMNS = (
    "first",
    "second",
    "mean_difference",
    "low",
    "high",
    "t",
    "p",
    "p_holm",
    "p_worse",
    "p_equivalent",
    "p_better",
    "verdict",
)
"""Columns of ``compare_pairs``."""


@dataclass(frozen=True, kw_only=True)
class PairedTest:
    """Result of a corrected t-test of paired differences; NaN if no inference is possible.

    Attributes
    ----------
    mean : mean of the differences
    t : mean divided by the corrected standard error; infinite if all differences are equal and
        not 0
    df : degrees of freedom
    p : two-sided p-value of the null hypothesis of no difference
    low, high : corrected confidence interval of the mean
    """

    mean: float
    t: float
    df: int
    p: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """Posterior probabilities of the difference of two means, which sum to 1.

    Attributes
    ----------
    p_worse, p_equivalent, p_better : probability below, inside and above the region of practical
        equivalence, which includes its edges; NaN if no inference is possible
    """

    p_worse: float
    p_equivalent: float
    p_better: float

    @property
    def verdict(self) -> str:
        """Outcome with a probability of at least ``DECISIVE``, or ``undecided``."""
        for name, probability in asdict(self).items():
            if probability >= DECISIVE:
                return name.removeprefix("p_")
        return UNDECIDED


@dataclass(frozen=True, kw_only=True)
class DecidingSize:
    """Size of a cross-validation that would decide a difference.

    Attributes
    ----------
    n_repeats : smallest number of repetitions that decides it with the same clips; infinite if not
        even ``MOST_REPEATS`` do
    clips_factor : factor by which the number of clips must grow, with ``MOST_REPEATS`` repetitions;
        infinite if none is sufficient
    """

    n_repeats: float
    clips_factor: float


@dataclass(frozen=True, kw_only=True)
class UnpairedDifference:
    """Difference between the mean scores of two datasets.

    Attributes
    ----------
    difference : second mean minus first
    low, high : its corrected confidence interval; NaN if no inference is possible
    """

    difference: float
    low: float
    high: float


def corrected_t_test(differences: NDArray[np.float64], *, test_share: float | None) -> PairedTest:
    """Test whether two methods have the same mean score on the same splits.

    Parameters
    ----------
    differences : second score minus first on each split [shape=(n_folds,)]
    test_share : ratio of test clips to training clips, 1 / 9 for ten folds; None if all splits
        have the same test clips, so that no inference is possible

    References
    ----------
    C. Nadeau, Y. Bengio, "Inference for the generalization error", Machine Learning 52, 2003.
    """
    exact = np.round(differences, DECIMALS)
    summary = summarise(exact, test_share=test_share)
    error = corrected_standard_error(exact, test_share=test_share)
    t = _in_errors(summary.mean, error=error)
    df = summary.n_folds - 1
    return PairedTest(
        mean=summary.mean,
        t=t,
        df=df,
        p=2 * float(scipy.stats.t.sf(abs(t), df)),
        low=summary.low,
        high=summary.high,
    )


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values for multiple tests, with control of the family-wise error rate.

    Parameters
    ----------
    p_values : p-values of all tests [shape=(n,)]; NaN for a test that was not made

    Returns
    -------
    adjusted p-values in the same order, NaN for NaN [shape=(n,)]

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979.
    """
    adjusted = np.full(len(p_values), math.nan)
    made = np.flatnonzero(~np.isnan(p_values))
    rising = made[np.argsort(p_values[made], kind="stable")]
    hypotheses_left = np.arange(len(rising), 0, -1)
    steps = np.maximum.accumulate(p_values[rising] * hypotheses_left)
    adjusted[rising] = np.minimum(steps, 1.0)
    return adjusted


def bayesian_correlated_t_test(
    differences: NDArray[np.float64], *, test_share: float | None, rope: float = ONE_POINT
) -> Posterior:
    """Compute the probability that the second method is worse, practically equivalent or better.

    With a flat prior and a correlation of n_test / (n_test + n_train) between folds, the posterior
    of the mean difference is a Student distribution around the observed mean. Its scale is the
    corrected standard error, because correlation / (1 - correlation) is n_test / n_train.

    Parameters
    ----------
    differences : second score minus first on each split [shape=(n_folds,)]
    test_share : ratio of test clips to training clips, 1 / 9 for ten folds; None if all splits
        have the same test clips, so that no inference is possible
    rope : half-width of the region of practical equivalence, >= 0

    Raises
    ------
    ValueError
        If ``rope`` is negative.

    References
    ----------
    G. Corani, A. Benavoli, "A Bayesian approach for comparing cross-validated algorithms on
    multiple data sets", Machine Learning 100, 2015.
    A. Benavoli, G. Corani, J. Demšar, M. Zaffalon, "Time for a change: a tutorial for comparing
    multiple classifiers through Bayesian analysis", Journal of Machine Learning Research 18, 2017.
    """
    if rope < 0:
        raise ValueError(f"rope is {rope}; it must be 0 or more")
    exact = np.round(differences, DECIMALS)
    error = corrected_standard_error(exact, test_share=test_share)
    return _posterior(float(np.mean(exact)), error=error, df=len(exact) - 1, rope=rope)


def deciding_size(
    differences: NDArray[np.float64],
    *,
    test_share: float | None,
    n_splits: int,
    rope: float = ONE_POINT,
) -> DecidingSize:
    """Estimate which size of a cross-validation would decide an undecided difference.

    It assumes that the observed mean and standard deviation over folds stay the same with more
    repetitions, and that the variance is inversely proportional to the number of clips. The result
    is therefore an order of magnitude. More repetitions cannot reduce the standard error below
    that of unlimited ones, so they may not be sufficient.

    Parameters
    ----------
    differences : second score minus first on each split [shape=(n_folds,)]
    test_share : ratio of test clips to training clips, 1 / 9 for ten folds; None if all splits
        have the same test clips, so that no inference is possible
    n_splits : number of folds of a repetition
    rope : half-width of the region of practical equivalence, >= 0
    """
    mean, std = float(np.mean(differences)), float(np.std(differences, ddof=1))
    share = math.nan if test_share is None else test_share

    def is_decided(n_repeats: int, clips_factor: float) -> bool:
        n_folds = n_repeats * n_splits
        error = std * math.sqrt((1 / n_folds + share) / clips_factor)
        return _posterior(mean, error=error, df=n_folds - 1, rope=rope).verdict != UNDECIDED

    repeats = range(max(1, len(differences) // n_splits), MOST_REPEATS + 1)
    factors = (2 ** (k / 8) for k in range(8 * MOST_DOUBLINGS + 1))
    return DecidingSize(
        n_repeats=next((n for n in repeats if is_decided(n, 1)), math.inf),
        clips_factor=next((f for f in factors if is_decided(MOST_REPEATS, f)), math.inf),
    )


def compare_pairs(
    scores: pd.DataFrame, *, test_share: float | None, rope: float = ONE_POINT
) -> pd.DataFrame:
    """Compare all pairs of methods on the same splits.

    Parameters
    ----------
    scores : one row per split, with its id as index, and one column per method
        [shape=(n_folds, n_methods)]
    test_share : ratio of test clips to training clips, 1 / 9 for ten folds; None if all splits
        have the same test clips, so that no inference is possible
    rope : half-width of the region of practical equivalence, >= 0

    Returns
    -------
    table of ``PAIR_COLUMNS`` with one row per unordered pair, in the order of the columns of
    ``scores``. ``p_holm`` is adjusted for all pairs; intervals, posteriors and verdicts are not.
    ``verdict`` compares the second method with the first: ``better``, ``worse``, ``equivalent``
    or ``undecided``

    Raises
    ------
    ValueError
        If there are no splits, a split occurs twice, or a method has no score for a split.
    """
    _require_paired(scores)
    values = scores.to_numpy(dtype=np.float64)
    rows = [
        {
            "first": scores.columns[first],
            "second": scores.columns[second],
            **_compared(values[:, second] - values[:, first], test_share=test_share, rope=rope),
        }
        for first, second in itertools.combinations(range(values.shape[1]), 2)
    ]
    table = pd.DataFrame(rows, columns=list(PAIR_COLUMNS))
    table["p_holm"] = holm(table["p"].to_numpy(dtype=np.float64))
    return table


def difference_of_means(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    *,
    first_share: float | None,
    second_share: float | None,
) -> UnpairedDifference:
    """Compute the difference between the mean scores of one method on two datasets.

    The interval is Welch's, with corrected standard errors. It assumes independent datasets; if one
    contains the other, it is descriptive only, and not a test.

    Parameters
    ----------
    first, second : score of each fold on each dataset [shape=(n_folds,)]; the numbers of folds may
        differ
    first_share, second_share : ratio of test clips to training clips; None if all splits of that
        dataset have the same test clips, so that there is no interval

    References
    ----------
    B. L. Welch, "The generalization of 'Student's' problem when several different population
    variances are involved", Biometrika 34, 1947.
    """
    difference = float(np.mean(second) - np.mean(first))
    errors = (
        corrected_standard_error(first, test_share=first_share),
        corrected_standard_error(second, test_share=second_share),
    )
    half = _welch_half_width(np.square(errors), degrees=np.array([len(first) - 1, len(second) - 1]))
    return UnpairedDifference(difference=difference, low=difference - half, high=difference + half)


def _in_errors(mean: float, *, error: float) -> float:
    if error == 0:
        return math.copysign(math.inf, mean) if mean else 0.0
    return mean / error


def _posterior(mean: float, *, error: float, df: int, rope: float) -> Posterior:
    better = _probability_above(rope, mean=mean, error=error, df=df)
    worse = _probability_above(rope, mean=-mean, error=error, df=df)
    rest = np.maximum(1 - (worse + better), 0.0)  # rounding errors may make it negative
    return Posterior(p_worse=worse, p_equivalent=float(rest), p_better=better)


def _probability_above(edge: float, *, mean: float, error: float, df: int) -> float:
    """Return the probability that a Student variable around ``mean`` exceeds ``edge``."""
    if error == 0:
        return float(round(mean, DECIMALS) > edge)
    return float(scipy.stats.t.cdf((mean - edge) / error, df))


def _compared(
    differences: NDArray[np.float64], *, test_share: float | None, rope: float
) -> dict[str, float | str]:
    test = corrected_t_test(differences, test_share=test_share)
    posterior = bayesian_correlated_t_test(differences, test_share=test_share, rope=rope)
    return {
        "mean_difference": test.mean,
        "low": test.low,
        "high": test.high,
        "t": test.t,
        "p": test.p,
        **asdict(posterior),
        "verdict": posterior.verdict,
    }


def _require_paired(scores: pd.DataFrame) -> None:
    if scores.empty:
        raise ValueError("there are no scores to compare")
    if not scores.index.is_unique:
        twice = [str(split) for split in scores.index[scores.index.duplicated()].unique()]
        raise ValueError(f"splits occur more than once: {listing(twice)}")
    missing = [
        f"{method} on split {split}"
        for method, column in scores.items()
        for split in scores.index[column.isna()]
    ]
    if missing:
        raise ValueError(
            f"methods can only be compared on the same splits; no score of {listing(missing)}"
        )


def _welch_half_width(variances: NDArray[np.float64], *, degrees: NDArray[np.int64]) -> float:
    """Return the half-width of the interval, with Welch–Satterthwaite degrees of freedom."""
    variance = float(np.sum(variances))
    if variance == 0 or math.isnan(variance):
        return variance
    df = variance**2 / float(np.sum(variances**2 / degrees))
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, df)) * math.sqrt(variance)
