"""Split plans: properties that hold for any dataset."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mer_mlflow.crossval import Split, SplitPlan, split_plan
from mer_mlflow.crossval.splits import LARGEST_SEED
from mer_mlflow.datasets import Clips
from mer_mlflow.errors import DatasetError, ParameterError


def make_clips(labels: list[int], artists: list[str | None] | None = None) -> Clips:
    n = len(labels)
    return Clips(
        name="made",
        ids=tuple(f"c{i:04d}" for i in range(n)),
        quadrants=np.array(labels, dtype=np.int64),
        audio=(None,) * n,
        audio_hashes=(None,) * n,
        artists=tuple(artists or [None] * n),
    )


@st.composite
def datasets(draw: st.DrawFn) -> Clips:
    counts = [draw(st.integers(5, 20)) for _ in range(4)]
    labels = draw(st.permutations([q for q, count in enumerate(counts) for _ in range(count)]))
    return make_clips(labels)


@settings(deadline=None, max_examples=40)
@given(datasets(), st.integers(2, 5), st.integers(1, 3), st.integers(0, LARGEST_SEED))
def test_every_repetition_tests_every_clip_once(
    clips: Clips, n_splits: int, n_repeats: int, seed: int
) -> None:
    plan = split_plan(clips, n_splits=n_splits, n_repeats=n_repeats, seed=seed)
    assert len(plan.splits) == n_splits * n_repeats
    for repeat in range(1, n_repeats + 1):
        tested = np.concatenate([s.test for s in plan.splits if s.repeat == repeat])
        assert sorted(tested) == list(range(len(clips)))
    for split in plan.splits:
        assert not set(split.train) & set(split.test)
        assert len(split.train) + len(split.test) == len(clips)


@settings(deadline=None, max_examples=40)
@given(datasets(), st.integers(2, 5), st.integers(0, LARGEST_SEED))
def test_class_proportions_are_kept(clips: Clips, n_splits: int, seed: int) -> None:
    for split in split_plan(clips, n_splits=n_splits, n_repeats=1, seed=seed).splits:
        tested = np.bincount(clips.quadrants[split.test], minlength=4)
        expected = np.bincount(clips.quadrants, minlength=4) / n_splits
        assert np.all(np.abs(tested - expected) <= 1)


@settings(deadline=None, max_examples=20)
@given(datasets(), st.integers(0, LARGEST_SEED))
def test_plan_is_a_function_of_its_arguments(clips: Clips, seed: int) -> None:
    first, second = (split_plan(clips, n_splits=3, n_repeats=2, seed=seed) for _ in range(2))
    for one, other in zip(first.splits, second.splits, strict=True):
        assert one.seed == other.seed
        assert np.array_equal(one.test, other.test)


def test_fewer_repetitions_are_a_prefix_of_more() -> None:
    clips = make_clips([0, 1, 2, 3] * 10)
    short, long = (split_plan(clips, n_splits=5, n_repeats=n, seed=3) for n in (2, 4))
    for one, other in zip(short.splits, long.splits, strict=False):
        assert one.id == other.id
        assert one.seed == other.seed
        assert np.array_equal(one.train, other.train)
    assert short.digest == long.digest


def test_repetitions_and_seeds_shuffle_anew() -> None:
    clips = make_clips([0, 1, 2, 3] * 10)
    plan = split_plan(clips, n_splits=2, n_repeats=2, seed=0)
    other = split_plan(clips, n_splits=2, n_repeats=2, seed=1)
    assert not np.array_equal(plan.splits[0].test, plan.splits[2].test)
    assert not np.array_equal(plan.splits[0].test, other.splits[0].test)
    assert len({split.seed for split in plan.splits}) == 4


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 25)), min_size=60, max_size=120),
    st.integers(0, LARGEST_SEED),
)
def test_no_artist_is_on_both_sides(rows: list[tuple[int, int]], seed: int) -> None:
    clips = make_clips([q for q, _ in rows], [f"artist {a}" if a else None for _, a in rows])
    try:
        plan = split_plan(clips, protocol="grouped", n_splits=3, n_repeats=2, seed=seed)
    except ParameterError:
        return
    for split in plan.splits:
        sides = [{clips.artists[i] for i in side} - {None} for side in (split.train, split.test)]
        assert not sides[0] & sides[1]


@settings(deadline=None, max_examples=60)
@given(datasets(), st.integers(2, 5), st.integers(0, LARGEST_SEED), st.data())
def test_synthesised_clips_train_only_with_their_source_and_are_never_tested(
    clips: Clips, n_splits: int, seed: int, data: st.DataObject
) -> None:
    n = len(clips)
    made_of = data.draw(st.lists(st.integers(0, n - 1), max_size=4 * n), label="made of")
    sources = np.array([*range(n), *made_of])
    for split in split_plan(clips, n_splits=n_splits, n_repeats=1, seed=seed).splits:
        train, test = split.rows(np.arange(len(sources)), sources)
        assert set(sources[train]) == set(split.train)
        assert not set(sources[train]) & set(test)
        assert list(test) == list(split.test)
        assert len(train) + sum(row in set(test) for row in sources) == len(sources)


def test_copies_of_copies_are_refused() -> None:
    split = split_plan(make_clips([0, 1, 2, 3] * 5), n_splits=5, n_repeats=1).splits[0]
    with pytest.raises(ValueError, match="made from a recording"):
        split.rows(np.arange(22), np.array([*range(20), 3, 20]))


def test_rows_of_a_part_are_found_by_their_clips() -> None:
    split = Split(repeat=1, fold=1, train=np.array([4, 9]), test=np.array([7, 2]), seed=0)
    positions, sources = np.array([2, 4, 7, 9, 14, 19]), np.array([2, 4, 7, 9, 4, 7])
    train, test = split.rows(positions, sources)
    assert (list(train), list(test)) == ([1, 3, 4], [2, 0])
    with pytest.raises(ValueError, match="must be a recording"):
        split.rows(positions[:2])


def test_paper_protocol_does_leak_artists() -> None:
    clips = make_clips([0, 1, 2, 3] * 10, ["a", "b", "c", "d"] * 10)
    split = split_plan(clips, n_splits=2, n_repeats=1).splits[0]
    assert {clips.artists[i] for i in split.train} & {clips.artists[i] for i in split.test}


def test_fixed_partition_is_used_as_it_is() -> None:
    labels = [0, 1, 2, 3] * 5
    parts = tuple(["train"] * 12 + ["validate"] * 4 + ["test"] * 4)
    clips = replace(make_clips(labels), fixed_splits={"70_15_15": parts})
    plan = split_plan(clips, protocol="fixed", n_repeats=2)
    assert [split.id for split in plan.splits] == ["r01-f01", "r02-f01"]
    assert list(plan.splits[0].train) == list(range(12))
    assert list(plan.splits[0].test) == list(range(16, 20))
    assert plan.splits[0].seed != plan.splits[1].seed


def test_frame_lists_every_use_of_every_clip() -> None:
    clips = make_clips([0, 1, 2, 3] * 3)
    frame = split_plan(clips, n_splits=3, n_repeats=2).to_frame(clips)
    assert len(frame) == 6 * 12
    assert (frame[frame.side == "test"].groupby("clip").size() == 2).all()


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"protocol": "loo"}, ParameterError, "protocol=loo"),
        ({"n_splits": 1}, ParameterError, "folds=1"),
        ({"n_splits": 4}, ParameterError, "only 3 clips of Q1"),
        ({"n_repeats": 0}, ParameterError, "repeats=0"),
        ({"seed": -1}, ParameterError, "seed=-1"),
        ({"protocol": "grouped", "n_splits": 2}, DatasetError, "names no artists"),
        ({"protocol": "fixed"}, DatasetError, "no partition 70_15_15"),
    ],
)
def test_bad_arguments_are_named(
    arguments: dict[str, object], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        split_plan(make_clips([0, 1, 2, 3] * 3), **arguments)  # type: ignore[arg-type]


def test_test_share_is_clips_tested_per_clip_trained_on() -> None:
    plan: SplitPlan = split_plan(make_clips([0, 1, 2, 3] * 10), n_splits=10, n_repeats=1)
    assert plan.test_share == pytest.approx(1 / 9)
