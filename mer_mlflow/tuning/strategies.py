"""Strategies: which points a search needs next, as pure functions of those that are done.

In any process, the same finished points give the same next points: that is how several of them
work on one study, and how an interrupted one goes on.

References
----------
P. Louro et al., "A comparison study of deep learning methodologies for music emotion
recognition", Sensors 24(7), 2024 (a grid for the baseline, neighbouring values for what is built
on it).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from mer_mlflow.training import Value
from mer_mlflow.tuning.space import Point, SearchSpace, grid, point_key

Done = Mapping[str, float]
"""Score of each finished point by its key; minus infinity where it failed or was pruned."""
Strategy = Callable[[SearchSpace, Point, Done], list[Point]]


def next_of_grid(space: SearchSpace, start: Point, done: Done) -> list[Point]:
    """All combinations that are not done.

    Parameters
    ----------
    space : values by hyperparameter
    start : unused, a grid has no beginning
    done : finished points
    """
    return [point for point in grid(space) if point_key(point) not in done]


def next_neighbours(space: SearchSpace, start: Point, done: Done) -> list[Point]:
    """The neighbours of the optimum so far that decide where to go, or nothing at the end.

    One hyperparameter after the other: the values next to the present one are tried, and the
    better of them becomes the present one if it wins. A round without a move ends the search.

    Parameters
    ----------
    space : values by hyperparameter, in order
    start : the point that the search begins at
    done : finished points
    """
    here = {name: _nearest(values, start[name]) for name, values in space.items()}
    if point_key(here) not in done:
        return [here]
    moved = True
    while moved:
        moved = False
        for name, values in space.items():
            around = _neighbours(here, name, values)
            unknown = [point for point in around if point_key(point) not in done]
            if unknown:
                return unknown
            best = max(around, key=lambda point: done[point_key(point)], default=here)
            if done[point_key(best)] > done[point_key(here)]:
                here, moved = best, True
    return []


STRATEGIES: dict[str, Strategy] = {"grid": next_of_grid, "neighbour": next_neighbours}
STRATEGY_NAMES = (*STRATEGIES, "tpe")
"""``tpe`` is Optuna's sampler, which chooses its points itself."""


def _neighbours(here: Point, name: str, values: tuple[Value, ...]) -> list[Point]:
    position = values.index(here[name])
    neighbours = [i for i in (position - 1, position + 1) if 0 <= i < len(values)]
    return [here | {name: values[i]} for i in neighbours]


def _nearest(values: tuple[Value, ...], wanted: Value) -> Value:
    def distance(value: Value) -> float:
        if isinstance(value, str) or isinstance(wanted, str):
            return float(value != wanted)
        return abs(value - wanted)

    return min(values, key=distance)
