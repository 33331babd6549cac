"""How well one column of numbers separates groups of clips, and how likely that is by chance.

Clips are put in the order of a column, those of equal values in random order. Where the column
separates groups, neighbours are of one group; where it does not, the groups change as often as in
a random order (the runs of Wald and Wolfowitz). Only the order counts, so scale and direction do
not matter, and a group may lie in several places.

References
----------
A. Wald, J. Wolfowitz, "On a test whether two samples are from the same population", Annals of
Mathematical Statistics 11(2), 1940.
"""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

SIGNIFICANCE = 1e-3
"""Probability of a false alarm up to which a column is found."""
NEARLY_PERFECT = {2: 0.8, 3: 0.65, 4: 0.5}
"""Separation from which a column is a leak, by the number of groups that it separates.

Arousal annotated with 5 % of 900 clips on the wrong side has 0.85, a label with as many errors
0.91, a label plus noise of half its step 0.55.
"""
ROUNDING = 1e-9
STRONGEST = {2: 0.65, 3: 0.45, 4: 0.3}
"""Separation that a feature may really have, so that few clips may show more by chance.

Of the 100 published features that separate best, the strongest has 0.50, 0.36 and 0.22 on 900 clips
(0.66, 0.44 and 0.30 on 200 of them).
"""


def groupings(n_quadrants: int) -> tuple[tuple[int, ...], ...]:
    """All ways to put quadrants into two groups or more: group of each quadrant."""
    found = []
    for groups in product(range(n_quadrants), repeat=n_quadrants):
        firsts = tuple(dict.fromkeys(groups))
        if firsts == tuple(range(len(firsts))) and len(firsts) > 1:
            found.append(groups)
    return tuple(found)


def separates(values: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Columns by which any grouping of the quadrants can be predicted nearly perfectly.

    Parameters
    ----------
    values : finite numbers [shape=(n_clips, n_columns)]
    labels : quadrants [shape=(n_clips,)]

    Returns
    -------
    whether each column separates groups so well that neither chance nor a feature explains it
    [shape=(n_columns,)]
    """
    n_columns = values.shape[1]
    present, quadrants = np.unique(labels, return_inverse=True)
    counts = np.bincount(quadrants)
    changes = _changes(values, quadrants, n_quadrants=len(present))
    ways = groupings(len(present))
    found = np.zeros(n_columns, dtype=bool)
    for way in ways:
        groups = np.array(way)
        sizes = np.bincount(groups, weights=counts).astype(int)
        differ = groups[:, np.newaxis] != groups
        most = most_changes(tuple(sizes.tolist()), n_trials=n_columns * len(ways))
        found |= changes[:, differ].sum(axis=1) <= most
    return found


def separation(n_changes: float, sizes: tuple[int, ...]) -> float:
    """How far groups are separated: 0 as in a random order, 1 where each lies in one place.

    Parameters
    ----------
    n_changes : neighbours of different groups
    sizes : clips of each group
    """
    expected = _expected(sizes)
    least = len(sizes) - 1
    return (expected - n_changes) / (expected - least) if expected > least else 0.0


@cache
def most_changes(sizes: tuple[int, ...], *, n_trials: int) -> int:
    """Changes between groups up to which a column separates them nearly perfectly.

    Neither a random order nor a feature as strong as any would show so few, as far as changes
    are independent of each other.

    Parameters
    ----------
    sizes : clips of each group
    n_trials : random orders that are looked at, one for each column and grouping

    Returns
    -------
    number of changes, -1 where any number may be due to chance
    """
    from scipy.special import bdtr

    n_clips, n_groups = sum(sizes), len(sizes)
    expected = _expected(sizes)

    def changes(separated: float) -> float:
        return expected - separated * max(0.0, expected - (n_groups - 1))

    n_changes = np.arange(int(changes(NEARLY_PERFECT[n_groups]) + ROUNDING) + 1)
    by_chance = bdtr(n_changes, n_clips - 1, expected / n_clips) * n_trials
    by_a_feature = bdtr(n_changes, n_clips - 1, changes(STRONGEST[n_groups]) / n_clips)
    return int((np.maximum(by_chance, by_a_feature) <= SIGNIFICANCE).sum()) - 1


def _expected(sizes: tuple[int, ...]) -> float:
    """Changes between groups that a random order has on average."""
    return sum(sizes) - sum(size**2 for size in sizes) / sum(sizes)


def _changes(
    values: NDArray[np.float64], quadrants: NDArray[np.int64], *, n_quadrants: int
) -> NDArray[np.int64]:
    """Count neighbours by their quadrants [shape=(n_columns, n_quadrants, n_quadrants)]."""
    n_columns = values.shape[1]
    mixed = np.random.default_rng(0).permutation(len(values))  # else ties keep the table's order
    order = np.argsort(np.ascontiguousarray(values[mixed].T), axis=1, kind="stable")
    ordered = quadrants[mixed][order]
    pairs = ordered[:, :-1] * n_quadrants + ordered[:, 1:]
    pairs += n_quadrants**2 * np.arange(n_columns)[:, np.newaxis]
    counts = np.bincount(pairs.ravel(), minlength=n_columns * n_quadrants**2)
    return counts.reshape(n_columns, n_quadrants, n_quadrants)
