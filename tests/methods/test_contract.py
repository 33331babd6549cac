"""What every methodology must keep, on examples small enough to train all of them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_mlflow.datasets import QUADRANTS, dataset_names
from mer_mlflow.methods import EpochRecord, FittedModel, Method, get_method, method_names
from mer_mlflow.methods._method import Predict
from mer_mlflow.profiles import capped, get_profile
from mer_mlflow.representations import Examples, Features, Input, with_duration

N_CLIPS = 24
SECONDS = 4.0
N_FEATURES = 100
EPOCHS = 2


def make_input(item: Input, labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
    shape = (N_FEATURES,) if isinstance(item, Features) else item.shape
    noise = rng.normal(size=(len(labels), *shape)).astype(np.float32)
    hint = labels.reshape(-1, *[1] * len(shape)) - 1.5
    return noise + hint


def make_examples(method: Method, *, seed: int = 0, shuffled: bool = False) -> Examples:
    rng = np.random.default_rng(seed)
    labels = np.arange(N_CLIPS) % len(QUADRANTS)
    inputs = tuple(make_input(i, labels, rng) for i in with_duration(method.inputs, SECONDS))
    return Examples(
        inputs=inputs,
        positions=np.arange(N_CLIPS),
        quadrants=rng.permutation(labels) if shuffled else labels,
    )


def hyperparameters(method: Method) -> Any:
    return method.resolve(capped(method, {}, profile=get_profile("quick"), max_epochs=EPOCHS))


def fit(method: Method, examples: Examples, *, seed: int = 0) -> FittedModel:
    return method.fit(examples, hyperparameters(method), seed, lambda record, predict: None)


@pytest.fixture(params=method_names(), scope="module")
def method(request: pytest.FixtureRequest) -> Method:
    return get_method(request.param)


@pytest.fixture(scope="module")
def fitted(method: Method) -> FittedModel:
    return fit(method, make_examples(method))


def test_declaration_is_complete(method: Method) -> None:
    assert method.title
    assert method.summary.endswith(".")
    assert method.citation
    assert method.version >= 1
    assert "References" in (sys.modules[f"mer_mlflow.methods.{method.name}"].__doc__ or "")
    assert set(method.published) <= set(dataset_names())
    for scores in method.published.values():
        assert all(30 < getattr(scores, field.name) < 100 for field in fields(scores))
    for name, space in method.spaces.items():
        for value in (*space.grid, *space.choices, method.defaults[name]):
            assert space.complaint(value) is None, name
    has_epochs = "epochs" in method.defaults
    assert has_epochs == (method.quick_epochs is not None)


def test_probabilities_are_probabilities(method: Method, fitted: FittedModel) -> None:
    probabilities = fitted.predict_proba(make_examples(method, seed=1).without_labels())
    assert probabilities.shape == (N_CLIPS, len(QUADRANTS))
    assert np.all(probabilities >= 0)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_prediction_of_a_clip_does_not_depend_on_its_neighbours(
    method: Method, fitted: FittedModel
) -> None:
    examples = make_examples(method, seed=1).without_labels()
    together = fitted.predict_proba(examples)
    alone = fitted.predict_proba(examples.take(np.array([7])))
    assert alone[0] == pytest.approx(together[7], abs=1e-5)


def test_same_seed_gives_the_same_model_and_another_seed_another(
    method: Method, fitted: FittedModel
) -> None:
    examples = make_examples(method)
    expected = fitted.predict_proba(examples)
    assert np.array_equal(fit(method, examples).predict_proba(examples), expected)
    if method.framework == "keras":
        other = fit(method, examples, seed=1).predict_proba(examples)
        assert not np.array_equal(other, expected)


def test_saved_model_predicts_the_same_in_a_new_process(
    method: Method, fitted: FittedModel, tmp_path: Path
) -> None:
    examples = make_examples(method, seed=1).without_labels()
    expected = fitted.predict_proba(examples)
    fitted.save(tmp_path)
    (tmp_path / "examples.pickle").write_bytes(pickle.dumps(examples))
    code = (
        "import pathlib, pickle, sys, numpy\n"
        "from mer_mlflow import get_method\n"
        "folder = pathlib.Path(sys.argv[2])\n"
        "examples = pickle.loads((folder / 'examples.pickle').read_bytes())\n"
        "model = get_method(sys.argv[1]).load(folder)\n"
        "numpy.save(folder / 'predicted.npy', model.predict_proba(examples))\n"
    )
    subprocess.run([sys.executable, "-c", code, method.name, str(tmp_path)], check=True)
    assert np.load(tmp_path / "predicted.npy") == pytest.approx(expected, abs=1e-6)


def test_epochs_are_told_as_they_end(method: Method) -> None:
    records: list[EpochRecord] = []

    def on_epoch(record: EpochRecord, predict: Predict) -> None:
        records.append(record)
        assert predict(make_examples(method)).shape == (N_CLIPS, len(QUADRANTS))

    method.fit(make_examples(method), hyperparameters(method), 0, on_epoch)
    if "epochs" in method.defaults:
        assert [record.epoch for record in records] == [1, 2]
        assert all(np.isfinite(record.loss) for record in records)
        assert all(0 <= record.accuracy <= 1 for record in records)
    else:
        assert records == []


def test_labels_that_inputs_do_not_tell_are_not_learnt(method: Method) -> None:
    train = make_examples(method, seed=2, shuffled=True)
    test = make_examples(method, seed=3, shuffled=True)
    predicted = fit(method, train).predict_proba(test.without_labels()).argmax(axis=1)
    assert np.mean(predicted == test.labels) < 0.6


def test_method_is_pickled_by_name(method: Method) -> None:
    assert pickle.loads(pickle.dumps(method)) is method
