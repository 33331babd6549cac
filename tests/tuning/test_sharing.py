"""Folds run ahead: the same results as one setting at a time gives, each computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import numpy as np
import pytest

from mer_mlflow import cross_validate, get_method, split_plan
from mer_mlflow.crossval.executors import make_executor
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.representations import Examples
from mer_mlflow.tuning.sharing import MOST_AT_ONCE, FoldsAhead
from mer_mlflow.tuning.space import Point

N_CLIPS = 60
LABELS = np.arange(N_CLIPS) % 4
POINTS: list[Point] = [{"C": C, "gamma": gamma} for C in (0.5, 8.0) for gamma in (0.01, 0.1)]


def make_setting() -> tuple[Setting, Examples]:
    values = np.random.default_rng(0).normal(size=(N_CLIPS, 6)) + np.eye(4, 6)[LABELS]
    clips = Clips(
        name="made",
        ids=tuple(f"c{i:02d}" for i in range(N_CLIPS)),
        quadrants=LABELS,
        audio=(None,) * N_CLIPS,
        audio_hashes=(None,) * N_CLIPS,
        artists=(None,) * N_CLIPS,
        features={"top100": FeatureTable(names=tuple("abcdef"), values=values)},
    )
    plan = split_plan(clips, n_splits=3, n_repeats=1)
    examples = Examples(inputs=(values,), positions=np.arange(N_CLIPS), quadrants=LABELS)
    setting = resolve_setting(get_method("svm"), clips, plan)
    return replace(setting, only_quadrants=True), examples


@pytest.mark.parametrize("workers", [0, 2])
def test_results_are_those_of_each_setting_alone(workers: int) -> None:
    setting, examples = make_setting()
    ahead = FoldsAhead(setting, examples, executor=make_executor(workers))
    for point in reversed(POINTS):
        ready = ahead.take(point, lambda: POINTS)
        expected = cross_validate(
            setting.method, setting.clips, plan=setting.plan, hyperparameters=point, workers=0
        )
        assert list(ready) == [result.split_id for result in expected.results]
        for result in expected.results:
            shared = ready[result.split_id].prediction
            assert np.array_equal(shared.quadrants, result.prediction.quadrants)
            assert np.allclose(shared.probabilities.sum(axis=1), 1.0)


def test_upcoming_settings_are_fitted_together_and_once() -> None:
    setting, examples = make_setting()
    fit_together = setting.method.fit_together
    assert fit_together is not None
    sizes: list[int] = []

    def counted(train: Examples, settings: object, seed: int) -> object:
        sizes.append(len(settings))  # type: ignore[arg-type]
        return fit_together(train, settings, seed)  # type: ignore[arg-type]

    method = replace(setting.method, fit_together=counted)  # type: ignore[arg-type]
    ahead = FoldsAhead(replace(setting, method=method), examples, executor=make_executor(0))
    many: list[Point] = [{"C": 1.0 + i, "gamma": 0.1} for i in range(MOST_AT_ONCE + 2)]
    for i, point in enumerate(many):
        assert len(ahead.take(point, lambda i=i: many[i:])) == 3  # type: ignore[misc]
    without_rehearsals = [size for size in sizes if size > 1]
    assert without_rehearsals == [MOST_AT_ONCE] * 3 + [2] * 3


def test_fold_that_fails_is_left_to_its_trial() -> None:
    setting, examples = make_setting()

    def fail(*arguments: object) -> NoReturn:
        raise FloatingPointError("no")

    method = replace(setting.method, fit=fail, fit_together=fail)
    ahead = FoldsAhead(replace(setting, method=method), examples, executor=make_executor(0))
    assert ahead.take(POINTS[0], lambda: []) == {}
