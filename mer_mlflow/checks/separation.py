"""Separation of groups of clips by one column of numbers, and its probability by chance.

Clips are sorted by a column, those with equal values in random order. If the column separates
groups, neighbours belong to the same group. If it does not, the group changes as often as in a
random order (the runs test of Wald and Wolfowitz). Only the order matters, not scale or direction,
and a group may occupy several intervals.

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
"""Maximum probability of a false alarm."""
NEARLY_PERFECT = {2: 0.8, 3: 0.65, 4: 0.5}
"""Minimum separation of a leak, by the number of groups that the column separates.

For 900 clips, the sign of arousal with 5 % errors has 0.85, a label with as many errors 0.91, a
label plus noise of half its step 0.55.
"""
ROUNDING = 1e-9
STRONGEST = {2: 0.65, 3: 0.45, 4: 0.3}
"""Separation that a genuine feature may have; on few clips it may be higher by chance.

The strongest of the 100 published features has 0.50, 0.36 and 0.22 on 900 clips (0.66, 0.44 and
0.30 on 200 of them).
"""


def groupings(n_quadrants: int) -> tuple[tuple[int, ...], ...]:
    """Return all partitions of the quadrants into at least two groups: group of each quadrant."""
    found = []
    for groups in product(range(n_quadrants), repeat=n_quadrants):
        firsts = tuple(dict.fromkeys(groups))
        if firsts == tuple(range(len(firsts))) and len(firsts) > 1:
            found.append(groups)
    return tuple(found)


def separates(values: NDArray[np.float64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Find columns that predict any grouping of the quadrants nearly perfectly.

    Parameters
    ----------
    values : finite numbers [shape=(n_clips, n_columns)]
    labels : quadrants [shape=(n_clips,)]

    Returns
    -------
    whether each column separates groups better than chance and genuine features can explain
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
    """Return the separation of groups: 0 for a random order, 1 if each is one interval.

    Parameters
    ----------
    n_changes : number of neighbours in different groups
    sizes : number of clips of each group
    """
    expected = _expected(sizes)
    least = len(sizes) - 1
    return (expected - n_changes) / (expected - least) if expected > least else 0.0


@cache
def most_changes(sizes: tuple[int, ...], *, n_trials: int) -> int:
    """Return the maximum number of group changes of a column that separates nearly perfectly.

    Neither a random order nor the strongest genuine feature is likely to have so few, if changes
    are independent of each other.

    Parameters
    ----------
    sizes : number of clips of each group
    n_trials : number of tests, one for each column and grouping

    Returns
    -------
    number of changes, -1 if any number may be due to chance
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
    """Return the expected number of group changes of a random order."""
    return sum(sizes) - sum(size**2 for size in sizes) / sum(sizes)


def _changes(
    values: NDArray[np.float64], quadrants: NDArray[np.int64], *, n_quadrants: int
) -> NDArray[np.int64]:
    """Count neighbours by their quadrants [shape=(n_columns, n_quadrants, n_quadrants)]."""
    n_columns = values.shape[1]
    mixed = np.random.default_rng(0).permutation(len(values))  # ties in random order
    order = np.argsort(np.ascontiguousarray(values[mixed].T), axis=1, kind="stable")
    ordered = quadrants[mixed][order]
    pairs = ordered[:, :-1] * n_quadrants + ordered[:, 1:]
    pairs += n_quadrants**2 * np.arange(n_columns)[:, np.newaxis]
    counts = np.bincount(pairs.ravel(), minlength=n_columns * n_quadrants**2)
    return counts.reshape(n_columns, n_quadrants, n_quadrants)
