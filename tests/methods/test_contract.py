"""What every methodology must keep, on examples small enough to train all of them."""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_mlflow.crossval.jobs import Job, Task, run_jobs
from mer_mlflow.crossval.rehearsal import refusal
from mer_mlflow.crossval.splits import Split
from mer_mlflow.datasets import QUADRANTS, dataset_names
from mer_mlflow.experiments.profiles import get_profile, limited
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.representations import Examples, Input, with_duration
from mer_mlflow.training import EpochRecord, FittedModel, Method, Predict

N_CLIPS = 24
SECONDS = 1.5
N_FEATURES = 120
EPOCHS = 2
SMALL = {"filters": 4, "first_units": 32, "batch_size": 12, "n_synthesised": 6}


def make_input(item: Input, labels: NDArray[np.int64], rng: np.random.Generator) -> NDArray[Any]:
    shape = (N_FEATURES,) if item.table is not None else item.shape
    noise = rng.normal(size=(len(labels), *shape)).astype(np.float32)
    hint = labels.reshape(-1, *[1] * len(shape)) - 1.5
    return noise + hint


def make_examples(method: Method, *, seed: int = 0, shuffled: bool = False) -> Examples:
    rng = np.random.default_rng(seed)
    labels = np.arange(N_CLIPS) % len(QUADRANTS)
    seconds = max(SECONDS, method.shortest)
    inputs = tuple(make_input(i, labels, rng) for i in with_duration(method.inputs, seconds))
    return Examples(
        inputs=inputs,
        positions=np.arange(N_CLIPS),
        quadrants=rng.permutation(labels) if shuffled else labels,
    )


def hyperparameters(method: Method) -> Any:
    small = {name: size for name, size in SMALL.items() if name in method.defaults}
    return method.resolve(limited(method, small, profile=get_profile("quick"), max_epochs=EPOCHS))


def fit(method: Method, examples: Examples, *, seed: int = 0) -> FittedModel:
    return method.fit(examples, hyperparameters(method), seed, lambda record, predict: None)


def trained_names() -> tuple[str, ...]:
    """Names of the methodologies, one of those that train the same way and differ in data alone."""
    found: dict[Any, str] = {}
    for method in map(get_method, method_names()):
        way = (method.fit, method.load, method.hyperparameters, method.inputs, method.framework)
        found.setdefault(way, method.name)
    return tuple(found.values())


@pytest.fixture(params=method_names(), scope="module")
def any_method(request: pytest.FixtureRequest) -> Method:
    return get_method(request.param)


@pytest.fixture(params=trained_names(), scope="module")
def method(request: pytest.FixtureRequest) -> Method:
    return get_method(request.param)


LOADING = """
import pathlib, pickle, sys
import numpy
from mer_mlflow import get_method

for line in sys.stdin:
    name, folder = line.rstrip().split(" ", 1)
    folder = pathlib.Path(folder)
    examples = pickle.loads((folder / "examples.pickle").read_bytes())
    prediction = get_method(name).load(folder).predict(examples)
    numpy.save(folder / "probabilities.npy", prediction.probabilities)
    numpy.save(folder / "quadrants.npy", prediction.quadrants)
    print("done", flush=True)
"""


@pytest.fixture(scope="module")
def other_process() -> Iterator[subprocess.Popen[str]]:
    """A process that trains nothing: it loads models and predicts."""
    with subprocess.Popen(
        [sys.executable, "-c", LOADING], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.communicate()


@pytest.fixture(scope="module")
def fitted(method: Method) -> FittedModel:
    return fit(method, make_examples(method))


def test_declaration_is_complete(any_method: Method) -> None:
    method = any_method
    assert method.title
    assert method.summary.endswith(".")
    assert method.citation
    assert method.version >= 1
    assert method.cost > 0
    assert "References" in (sys.modules[f"mer_mlflow.methods.{method.name}"].__doc__ or "")
    assert set(method.published) <= set(dataset_names())
    for scores in method.published.values():
        assert all(30 < getattr(scores, field.name) < 100 for field in fields(scores))
    for name, space in method.spaces.items():
        for value in (*space.grid, *space.choices, method.defaults[name]):
            assert space.fault(value) is None, name
    has_epochs = "epochs" in method.defaults
    assert has_epochs == (method.quick_epochs is not None)


def test_probabilities_are_probabilities(method: Method, fitted: FittedModel) -> None:
    prediction = fitted.predict(make_examples(method, seed=1).without_labels())
    for probabilities in (prediction.probabilities, *prediction.stages.values()):
        assert probabilities.shape == (N_CLIPS, len(QUADRANTS))
        assert np.all(probabilities >= 0)
        assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert prediction.quadrants.shape == (N_CLIPS,)
    assert set(prediction.quadrants) <= set(range(len(QUADRANTS)))


def test_prediction_of_a_clip_does_not_depend_on_its_neighbours(
    method: Method, fitted: FittedModel
) -> None:
    examples = make_examples(method, seed=1).without_labels()
    together = fitted.predict(examples).probabilities
    alone = fitted.predict(examples.take(np.array([7]))).probabilities
    assert alone[0] == pytest.approx(together[7], abs=1e-5)


def test_same_seed_gives_the_same_model_and_reports_its_epochs(
    method: Method, fitted: FittedModel
) -> None:
    """Predictions after each epoch change nothing: the other model was fitted without them."""
    examples = make_examples(method)
    records: dict[str, list[int]] = {}

    def on_epoch(record: EpochRecord, predict: Predict | None) -> None:
        records.setdefault(record.stage, []).append(record.epoch)
        assert np.isfinite(record.loss)
        assert (record.accuracy is None) == (predict is None)
        if record.accuracy is not None and predict is not None:
            assert 0 <= record.accuracy <= 1
            assert predict(examples).quadrants.shape == (N_CLIPS,)

    again = method.fit(examples, hyperparameters(method), 0, on_epoch).predict(examples)
    assert np.array_equal(again.probabilities, fitted.predict(examples).probabilities)
    assert all(epochs == [1, 2] for epochs in records.values())
    assert bool(records) == ("epochs" in method.defaults)
    assert again.stages.keys() <= records.keys()


def test_another_seed_gives_another_model(method: Method, fitted: FittedModel) -> None:
    if method.framework == "scikit-learn":
        return
    examples = make_examples(method)
    other = fit(method, examples, seed=1).predict(examples)
    assert not np.array_equal(other.probabilities, fitted.predict(examples).probabilities)


def test_settings_that_share_work_give_what_each_gives_alone(
    method: Method, fitted: FittedModel
) -> None:
    if method.fit_together is None:
        return
    examples = make_examples(method)
    name, space = next((name, space) for name, space in method.spaces.items() if space.grid)
    other = replace(hyperparameters(method), **{name: space.grid[0]})
    both = method.fit_together(examples, [other, hyperparameters(method)], 0)
    alone = method.fit(examples, other, 0, lambda record, predict: None)
    for shared, single in zip(both, (alone, fitted), strict=True):
        expected = single.predict(examples).quadrants
        assert np.array_equal(shared.predict(examples).quadrants, expected)


def test_saved_model_predicts_the_same_in_another_process(
    method: Method, fitted: FittedModel, other_process: subprocess.Popen[str], tmp_path: Path
) -> None:
    examples = make_examples(method, seed=1).without_labels()
    expected = fitted.predict(examples)
    fitted.save(tmp_path)
    (tmp_path / "examples.pickle").write_bytes(pickle.dumps(examples))
    assert other_process.stdin is not None and other_process.stdout is not None
    print(method.name, tmp_path, file=other_process.stdin, flush=True)
    assert other_process.stdout.readline() == "done\n"
    probabilities = np.load(tmp_path / "probabilities.npy")
    assert probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert np.array_equal(np.load(tmp_path / "quadrants.npy"), expected.quadrants)


def test_rehearsal_refuses_nothing_that_can_be_trained(method: Method) -> None:
    task = Task(method=method, examples=with_copies(make_examples(method)), test_curve=True)
    job = Job(split=two_folds()[0], hyperparameters=hyperparameters(method))
    assert refusal(task, job) is None


@dataclass(frozen=True, kw_only=True)
class Watched:
    """An input that notes which rows are read."""

    of: NDArray[Any]
    rows: set[int]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.of.shape

    def __getitem__(self, key: Any) -> NDArray[Any]:
        self.rows.update(int(row) for row in (key[0] if isinstance(key, tuple) else key))
        values: NDArray[Any] = self.of[key]
        return values


def with_copies(examples: Examples) -> Examples:
    """The examples, and of each one exact copy that counts as synthesised."""
    sources = np.tile(np.arange(N_CLIPS), 2)
    return Examples(
        inputs=tuple(np.concatenate([examples.read(i)] * 2) for i in range(len(examples.inputs))),
        positions=np.arange(2 * N_CLIPS),
        quadrants=examples.labels[sources],
        sources=sources,
    )


def two_folds() -> list[Split]:
    rng = np.random.default_rng(0)
    return [
        Split(repeat=repeat, fold=1, train=np.sort(order[6:]), test=np.sort(order[:6]), seed=repeat)
        for repeat, order in enumerate((rng.permutation(N_CLIPS) for _ in range(2)), start=1)
    ]


def test_training_reads_no_test_clip_and_no_copy_of_one(method: Method) -> None:
    examples = with_copies(make_examples(method))
    inputs = tuple(Watched(of=np.asarray(array), rows=set()) for array in examples.inputs)
    read_in_training: list[set[int]] = []

    def fit(*arguments: Any) -> FittedModel:
        fitted = method.fit(*arguments)
        read_in_training.extend(set(array.rows) for array in inputs)
        return fitted

    split = two_folds()[0]
    task = Task(method=replace(method, fit=fit), examples=replace(examples, inputs=inputs))
    run_jobs(task, (Job(split=split, hyperparameters=hyperparameters(method)),))
    allowed = {*split.train, *(split.train + N_CLIPS)}
    assert all(rows and rows <= allowed for rows in read_in_training)
    assert {*split.test} <= set.union(*(array.rows for array in inputs))


EAGER = {
    "svm": {"gamma": 0.5},
    "dnn_100": {"optimizer": "adam", "batch_size": 4, "stop_accuracy": 1.0, "epochs": 60},
    "dnn_1714": {
        "optimizer": "adam",
        "batch_size": 4,
        "stop_accuracy": 1.0,
        "epochs": 60,
        "first_units": 64,
        "n_layers": 2,
        "dropout": 0.0,
    },
}
"""Hyperparameters with which methods on features learn noise by heart."""


@pytest.mark.parametrize("name", EAGER)
def test_labels_that_inputs_do_not_tell_are_learnt_by_heart_alone(name: str) -> None:
    method = get_method(name)
    eager = method.resolve(EAGER[name])
    task = Task(method=method, examples=with_copies(make_examples(method, seed=2, shuffled=True)))
    by_heart, hits = [], []
    for split in two_folds():
        (result,) = run_jobs(task, (Job(split=split, hyperparameters=eager),))
        hits.append(np.mean(result.prediction.quadrants == result.true))
        train = task.examples.take(split.train)
        fitted = method.fit(train, eager, 0, lambda record, predict: None)
        by_heart.append(np.mean(fitted.predict(train).quadrants == train.labels))
    assert min(by_heart) > 0.9, "a leak would not show"
    assert np.mean(hits) < 0.6


def test_method_is_pickled_by_name(any_method: Method) -> None:
    assert pickle.loads(pickle.dumps(any_method)) is any_method
