"""Comparisons of two cross-validations: paired by fold, or of their means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.reporting.document import Cell
from mer_mlflow.reporting.sections._context import (
    Context,
    columns,
    interval,
    percent,
    points,
    probability,
    text,
)
from mer_mlflow.reporting.statistics import (
    bayesian_correlated_t_test,
    corrected_t_test,
    difference_of_means,
    holm,
)
from mer_mlflow.reporting.validations import Validation

HEADS = columns(
    "methodology",
    "against",
    "dataset",
    ("F1", "macro F1 in per cent"),
    ("difference", "from the other one on the same splits, in points"),
    ("95 % interval", "corrected interval of the difference"),
    ("p", "corrected resampled t-test, two-sided"),
    ("p, Holm", "p adjusted for all rows of this table"),
    ("worse", "posterior probability that it is worse by more than a point"),
    ("equivalent", "posterior probability of a difference of at most a point"),
    ("better", "posterior probability that it is better by more than a point"),
)


def paired_rows(
    context: Context, pairs: Sequence[tuple[Validation, Validation]]
) -> list[tuple[Cell, ...]]:
    """Return rows of a table with the columns ``HEADS``.

    Parameters
    ----------
    context : context of the report
    pairs : pairs of (reference, methodology) with the same splits
    """
    compared = [_differences(one, other) for one, other in pairs]
    tests = [
        corrected_t_test(differences, test_share=other.test_share)
        for (_, other), differences in zip(pairs, compared, strict=True)
    ]
    adjusted = holm(np.array([test.p for test in tests]))
    rows = []
    for (one, other), differences, test, p_holm in zip(
        pairs, compared, tests, adjusted, strict=True
    ):
        posterior = bayesian_correlated_t_test(differences, test_share=other.test_share)
        chances = (test.p, float(p_holm), posterior.p_worse, posterior.p_equivalent)
        rows.append(
            (
                text(context.label(other)),
                text(context.label(one)),
                text(context.frame_titles[one.frame]),
                percent(other.summary().mean),
                points(test.mean),
                interval(test.low, test.high, is_difference=True),
                *(probability(chance) for chance in (*chances, posterior.p_better)),
            )
        )
    return rows


def unpaired_cells(one: Validation, other: Validation) -> tuple[Cell, ...]:
    """Return macro F1 of two cross-validations with different splits, difference and interval."""
    first, second = (np.asarray(item.scores(), dtype=np.float64) for item in (one, other))
    effect = difference_of_means(
        first, second, first_share=one.test_share, second_share=other.test_share
    )
    return (
        percent(float(first.mean())),
        percent(float(second.mean())),
        points(effect.difference),
        interval(effect.low, effect.high, is_difference=True),
    )


def _differences(one: Validation, other: Validation) -> NDArray[np.float64]:
    return np.asarray((other.scores() - one.scores()).dropna(), dtype=np.float64)
