"""Statistics that are right for repeated cross-validation.

Folds share most of their training clips, and repetitions share all clips. The spread over folds
therefore understates how much a mean would change with new data, and tests for independent samples
find differences where there are none. Everything here widens the standard error for it, see
``corrected_standard_error``. The correction is approximate: no unbiased estimate of that variance
exists.

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
"""Half-width of the region in which two scores count as equal: one per cent of the scale."""

DECISIVE = 0.95
"""Posterior probability from which a verdict is given."""

DECIMALS = 12
"""Decimals of a difference that are more than rounding errors of the two scores."""

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
    """Corrected t-test of paired differences; NaN where nothing can be inferred.

    Attributes
    ----------
    mean : of the differences
    t : mean in corrected standard errors; infinite where all differences are equal and not 0
    df : degrees of freedom
    p : two-sided p-value of no difference
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
    """Where the difference of two means lies, as probabilities that add up to 1.

    Attributes
    ----------
    p_worse, p_equivalent, p_better : below, inside and above the region of practical equivalence,
        which includes its edges; NaN where nothing can be inferred
    """

    p_worse: float
    p_equivalent: float
    p_better: float

    @property
    def verdict(self) -> str:
        """What is at least ``DECISIVE`` probable of the second method, or ``undecided``."""
        for name, probability in asdict(self).items():
            if probability >= DECISIVE:
                return name.removeprefix("p_")
        return "undecided"


@dataclass(frozen=True, kw_only=True)
class UnpairedDifference:
    """Difference between the mean scores of two datasets.

    Attributes
    ----------
    difference : second mean minus first
    low, high : its corrected confidence interval; NaN where nothing can be inferred
    """

    difference: float
    low: float
    high: float


def corrected_t_test(differences: NDArray[np.float64], *, test_share: float | None) -> PairedTest:
    """Test whether two methods, validated on the same splits, have the same mean score.

    Parameters
    ----------
    differences : second score minus first on each split [shape=(n_folds,)]
    test_share : clips tested per clip trained on, 1 / 9 for ten folds; None where all splits test
        the same clips, which allows no inference

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
    """Adjust p-values for their number, so that all at or below a level can be rejected together.

    Parameters
    ----------
    p_values : of all tests [shape=(n,)]; NaN is a test that was not made and does not count

    Returns
    -------
    adjusted p-values in the same order, NaN where there was NaN [shape=(n,)]

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
    """Probability that the second of two methods is worse, practically equivalent or better.

    With a flat prior and folds that correlate by n_test / (n_test + n_train), the posterior of the
    mean difference is Student's, centred on the observed mean. Its scale is the corrected standard
    error, as correlation / (1 - correlation) is n_test / n_train.

    Parameters
    ----------
    differences : second score minus first on each split [shape=(n_folds,)]
    test_share : clips tested per clip trained on, 1 / 9 for ten folds; None where all splits test
        the same clips, which allows no inference
    rope : size up to which a difference of means does not matter in practice, >= 0

    Raises
    ------
    ValueError
        Where ``rope`` is negative.

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
    mean = float(np.mean(exact))
    error = corrected_standard_error(exact, test_share=test_share)
    df = len(exact) - 1
    better = _probability_above(rope, mean=mean, error=error, df=df)
    worse = _probability_above(rope, mean=-mean, error=error, df=df)
    rest = np.maximum(1 - (worse + better), 0.0)  # rounding could leave it just below 0
    return Posterior(p_worse=worse, p_equivalent=float(rest), p_better=better)


def compare_pairs(
    scores: pd.DataFrame, *, test_share: float | None, rope: float = ONE_POINT
) -> pd.DataFrame:
    """Compare all pairs of methods that were validated on the same splits.

    Parameters
    ----------
    scores : a row per split, with its id as index, and a column per method
        [shape=(n_folds, n_methods)]
    test_share : clips tested per clip trained on, 1 / 9 for ten folds; None where all splits test
        the same clips, which allows no inference
    rope : size up to which a difference of means does not matter in practice, >= 0

    Returns
    -------
    table of ``PAIR_COLUMNS`` with a row per unordered pair, in the order of the columns of
    ``scores``. ``p_holm`` is adjusted for all pairs; intervals, posteriors and verdicts are of
    each pair alone. ``verdict`` says what the second method is against the first: ``better``,
    ``worse``, ``equivalent`` or ``undecided``

    Raises
    ------
    ValueError
        Where there are no splits, a split occurs twice, or a method lacks a split's score.
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
    """Difference between the mean scores of one method on two datasets.

    The interval is Welch's, with corrected standard errors. It treats the datasets as independent;
    where one contains the other it only describes the two spreads. It is not a test.

    Parameters
    ----------
    first, second : score of each fold on each dataset [shape=(n_folds,)], not necessarily as many
    first_share, second_share : clips tested per clip trained on; None where all splits of that
        dataset test the same clips, which gives no interval

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


def _probability_above(edge: float, *, mean: float, error: float, df: int) -> float:
    """Probability that a Student variable around ``mean`` exceeds ``edge``."""
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
    """Half-width of the interval, with the degrees of freedom of Welch and Satterthwaite."""
    variance = float(np.sum(variances))
    if variance == 0 or math.isnan(variance):
        return variance
    df = variance**2 / float(np.sum(variances**2 / degrees))
    return float(scipy.stats.t.ppf((1 + LEVEL) / 2, df)) * math.sqrt(variance)
