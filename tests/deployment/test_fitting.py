"""A methodology is fitted to all clips, in this process or in a worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest

from mer_mlflow import get_method, split_plan
from mer_mlflow.crossval.executors import make_executor
from mer_mlflow.crossval.setting import Setting, resolve_setting
from mer_mlflow.datasets import Clips, FeatureTable
from mer_mlflow.deployment.fitting import fit_all, require_audio
from mer_mlflow.deployment.trained import FITTED
from mer_mlflow.errors import IncompleteError, ParameterError
from mer_mlflow.representations import Examples

N_CLIPS = 40
LABELS = np.arange(N_CLIPS) % 4


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
    examples = Examples(inputs=(values,), positions=np.arange(N_CLIPS), quadrants=LABELS)
    return resolve_setting(get_method("svm"), clips, split_plan(clips, n_splits=2)), examples


@pytest.mark.parametrize("workers", [0, 1])
def test_saved_model_is_that_of_all_clips(workers: int, tmp_path: Path) -> None:
    setting, examples = make_setting()
    result = fit_all(setting, examples, executor=make_executor(workers), folder=tmp_path)
    assert len(result.test) == len(result.prediction.quadrants) == 0
    assert result.fit_seconds > 0
    method = setting.method
    expected = method.fit(examples, setting.hyperparameters, 0, lambda record, predict: None)
    found = method.load(tmp_path / FITTED).predict(examples).probabilities
    assert np.array_equal(found, expected.predict(examples).probabilities)


def test_training_that_fails_is_an_error(tmp_path: Path) -> None:
    setting, examples = make_setting()

    def fit(train: Examples, *rest: object) -> object:
        if len(train) == N_CLIPS:  # not in the rehearsal
            fail()
        return get_method("svm").fit(train, *rest)  # type: ignore[arg-type]

    def fail() -> NoReturn:
        raise FloatingPointError("no solution")

    setting = replace(setting, method=replace(setting.method, fit=fit))  # type: ignore[arg-type]
    with pytest.raises(IncompleteError, match="the training failed: FloatingPointError: no solu"):
        fit_all(setting, examples, executor=make_executor(0), folder=tmp_path)


def test_published_features_are_refused() -> None:
    setting, _ = make_setting()
    with pytest.raises(ParameterError, match=r"svm reads a published .* give features=extracted"):
        require_audio(setting)
