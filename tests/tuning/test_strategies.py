"""Strategies: functions of what is done, whoever did it and in which order."""

from __future__ import annotations

import itertools
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.tuning.space import Point, SearchSpace, grid, point_key
from mer_mlflow.tuning.strategies import STRATEGIES, next_neighbours, next_of_grid

SPACE: SearchSpace = {"C": (1.0, 2.0, 4.0, 8.0), "units": (10, 20, 30), "kind": ("a", "b")}
START: Point = {"C": 4.0, "units": 10, "kind": "a"}


@st.composite
def landscapes(draw: st.DrawFn) -> dict[str, float]:
    score = st.floats(0, 1) | st.just(-math.inf)
    return {point_key(point): draw(score) for point in grid(SPACE)}


def searched(name: str, landscape: dict[str, float], *, one_by_one: bool) -> dict[str, float]:
    done: dict[str, float] = {}
    while wanted := STRATEGIES[name](SPACE, START, done):
        for point in wanted[-1:] if one_by_one else wanted:
            assert point_key(point) not in done
            done[point_key(point)] = landscape[point_key(point)]
    return done


@settings(deadline=None, max_examples=50)
@given(landscapes(), st.sampled_from(sorted(STRATEGIES)))
def test_searches_end_and_do_not_depend_on_who_finished_first(
    landscape: dict[str, float], name: str
) -> None:
    together = searched(name, landscape, one_by_one=False)
    assert searched(name, landscape, one_by_one=True) == together


@settings(deadline=None, max_examples=50)
@given(landscapes())
def test_neighbour_search_ends_where_no_neighbour_is_better(landscape: dict[str, float]) -> None:
    done = searched("neighbour", landscape, one_by_one=False)
    best = max(done.values())
    assert best >= landscape[point_key(START)]
    ends = [point for point in grid(SPACE) if done.get(point_key(point)) == best]
    assert any(
        all(landscape[point_key(other)] <= best for other in neighbours(end)) for end in ends
    )


def neighbours(point: Point) -> list[Point]:
    found = []
    for (name, values), step in itertools.product(SPACE.items(), (-1, 1)):
        position = values.index(point[name]) + step
        if 0 <= position < len(values):
            found.append({**point, name: values[position]})
    return found


def test_neighbour_search_moves_one_hyperparameter_at_a_time() -> None:
    assert next_neighbours(SPACE, START, {}) == [START]
    done = {point_key(START): 0.5}
    first = next_neighbours(SPACE, START, done)
    assert first == [{**START, "C": 2.0}, {**START, "C": 8.0}]
    done |= {point_key(first[0]): 0.4, point_key(first[1]): 0.6}
    assert next_neighbours(SPACE, START, done) == [{**START, "C": 8.0, "units": 20}]


def test_start_outside_the_space_is_moved_into_it() -> None:
    assert next_neighbours({"C": (1.0, 10.0)}, {"C": 8.0}, {}) == [{"C": 10.0}]


def test_grid_asks_for_what_is_missing() -> None:
    done = {point_key(point): 0.1 for point in list(grid(SPACE))[:5]}
    assert next_of_grid(SPACE, START, done) == list(grid(SPACE))[5:]
