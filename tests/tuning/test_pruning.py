"""Early stopping over folds: the forgiving rule by hand, and the order of folds."""

from __future__ import annotations

import numpy as np
import pytest

from mer_mlflow import split_plan
from mer_mlflow.datasets import Clips
from mer_mlflow.tuning.pruning import fold_order, is_forgiven


@pytest.mark.parametrize(
    ("so_far", "goes_on"),
    [([0.5], True), ([0.49], False), ([0.4, 0.6], True), ([0.6, 0.3], False)],
)
def test_mean_is_compared_with_the_worst_fold_of_the_best(
    so_far: list[float], goes_on: bool
) -> None:
    assert is_forgiven(so_far, [0.7, 0.5, 0.9]) == goes_on


def test_order_is_shuffled_by_the_seed_for_the_forgiving_rule_only() -> None:
    n_clips = 40
    clips = Clips(
        name="made",
        ids=tuple(f"c{i:02d}" for i in range(n_clips)),
        quadrants=np.arange(n_clips) % 4,
        audio=(None,) * n_clips,
        audio_hashes=(None,) * n_clips,
        artists=(None,) * n_clips,
    )
    first, other = (split_plan(clips, n_splits=5, n_repeats=2, seed=seed) for seed in (0, 1))
    planned = [split.id for split in first.splits]
    order = [split.id for split in fold_order(first, "forgiving")]
    assert order != planned and sorted(order) == sorted(planned)
    assert order == [split.id for split in fold_order(first, "forgiving")]
    assert order != [split.id for split in fold_order(other, "forgiving")]
    for prune in ("", "wilcoxon"):
        assert [split.id for split in fold_order(first, prune)] == planned
