"""Nested selection: what is tested takes no part in the choice."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mer_mlflow import get_method
from mer_mlflow.crossval.jobs import Job, Task, run_jobs
from mer_mlflow.crossval.splits import Split
from mer_mlflow.errors import DivergenceError, ParameterError
from mer_mlflow.representations import Examples
from mer_mlflow.training import Method, Prediction, Value
from mer_mlflow.training.method import most_probable
from mer_mlflow.tuning.nested import InnerSearch

N_CLIPS = 40
LABELS = np.arange(N_CLIPS) % 4
SEARCH = InnerSearch(strategy="grid", space={"C": (1.0, 2.0, 4.0)}, start={"C": 1.0}, n_splits=5)


@dataclass(frozen=True, kw_only=True)
class Guess:
    """A model that is right on the clips whose value says so to its setting."""

    C: float
    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        values = examples.read(0)
        quadrants = np.where(values[:, 0] == self.C, values[:, 1], (values[:, 1] + 1) % 4)
        return most_probable(np.eye(4)[quadrants.astype(np.int64)])

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def make_method(seen: list[tuple[float, NDArray[np.int64]]]) -> Method:
    def fit(train: Examples, hyperparameters: Any, seed: int, on_epoch: object) -> Guess:
        seen.append((hyperparameters.C, train.positions))
        return Guess(C=hyperparameters.C)

    return replace(get_method("svm"), fit=fit, fit_together=None)


def make_examples(best_of_train: float, best_of_test: float, split: Split) -> Examples:
    values = np.stack([np.full(N_CLIPS, best_of_train), LABELS], axis=1)
    values[split.test, 0] = best_of_test
    return Examples(inputs=(values,), positions=np.arange(N_CLIPS), quadrants=LABELS)


def make_split() -> Split:
    return Split(repeat=1, fold=1, train=np.arange(8, N_CLIPS), test=np.arange(8), seed=3)


def test_training_clips_choose_and_tested_clips_do_not() -> None:
    seen: list[tuple[float, NDArray[np.int64]]] = []
    method, split = make_method(seen), make_split()
    task = Task(method=method, examples=make_examples(4.0, 2.0, split), choice=SEARCH)
    job = Job(split=split, hyperparameters=method.resolve({"gamma": 0.5}))
    (result,) = run_jobs(task, (job,))
    assert result.chosen == {"C": 4.0}
    assert not np.any(result.prediction.quadrants == result.true)
    assert not any(np.isin(rows, split.test).any() for _, rows in seen)
    assert [C for C, _ in seen] == [1.0, 2.0, 4.0] * SEARCH.n_splits + [4.0]
    assert np.array_equal(seen[-1][1], split.train)


def test_first_of_equals_wins_and_the_neighbour_search_stops() -> None:
    seen: list[tuple[float, NDArray[np.int64]]] = []
    method, split = make_method(seen), make_split()
    examples = make_examples(8.0, 8.0, split).take(split.train)
    neighbour = replace(SEARCH, strategy="neighbour", start={"C": 2.0})
    assert neighbour.choose(method, method.resolve(), examples, 0) == {"C": 2.0}
    assert {C for C, _ in seen} == {1.0, 2.0, 4.0}


def test_copies_stay_with_their_source() -> None:
    seen: list[tuple[float, NDArray[np.int64]]] = []
    values = np.tile(np.stack([np.ones(N_CLIPS), LABELS], axis=1), (2, 1))
    sources = np.tile(np.arange(N_CLIPS), 2)
    both = Examples(
        inputs=(values,),
        positions=np.arange(2 * N_CLIPS),
        quadrants=np.tile(LABELS, 2),
        sources=sources,
    )
    method = make_method(seen)
    SEARCH.choose(method, method.resolve(), both, 0)
    for _, rows in seen:
        assert len(rows) == 2 * N_CLIPS * 4 // 5
        assert np.array_equal(np.unique(rows % N_CLIPS), np.unique(sources[rows]))
        assert np.all(np.bincount(rows % N_CLIPS, minlength=N_CLIPS) % 2 == 0)


def test_svm_chooses_with_shared_work_what_it_chooses_without() -> None:
    method = get_method("svm")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(N_CLIPS, 6)) + np.eye(4, 6)[LABELS]
    examples = Examples(inputs=(values,), positions=np.arange(N_CLIPS), quadrants=LABELS)
    space: dict[str, tuple[Value, ...]] = {"C": (0.5, 8.0), "gamma": (0.001, 0.1, 10.0)}
    search = InnerSearch(strategy="grid", space=space, start={"C": 0.5, "gamma": 0.1}, n_splits=3)
    alone = replace(method, fit_together=None)
    chosen = [search.choose(each, method.resolve(), examples, 1) for each in (method, alone)]
    assert chosen[0] == chosen[1]


def test_setting_whose_training_diverges_is_not_chosen() -> None:
    seen: list[tuple[float, NDArray[np.int64]]] = []
    method = make_method(seen)
    fit = method.fit

    def diverging(train: Examples, hyperparameters: Any, *rest: Any) -> Any:
        if hyperparameters.C == 4:
            raise DivergenceError("loss is not finite")
        return fit(train, hyperparameters, *rest)

    examples = make_examples(4.0, 4.0, make_split())
    method = replace(method, fit=diverging)
    assert SEARCH.choose(method, method.resolve(), examples, 0) == {"C": 1.0}
    assert {C for C, _ in seen} == {1.0, 2.0}


def test_too_few_clips_are_named() -> None:
    examples = make_examples(1.0, 1.0, make_split()).take(np.arange(12))
    with pytest.raises(ParameterError, match="a quadrant has 3 training clips"):
        SEARCH.choose(get_method("svm"), get_method("svm").resolve(), examples, 0)
