"""Training: stops where it should, and says when it diverges."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mer_mlflow.errors import DivergenceError
from mer_mlflow.representations import Examples
from mer_mlflow.training import EpochRecord
from mer_mlflow.training.keras_loop import FittedNetwork, load_network, train_network


def make_examples(n_clips: int = 32) -> Examples:
    labels = np.arange(n_clips) % 4
    values = np.random.default_rng(0).normal(size=(n_clips, 3, 5)) * 0.1 + np.eye(4, 15)[
        labels
    ].reshape(n_clips, 3, 5)
    return Examples(
        inputs=(50 + 7 * values.astype(np.float32),),
        positions=np.arange(n_clips),
        quadrants=labels,
    )


def build(shape: tuple[int, ...]) -> keras.Model:
    values = keras.Input(shape)
    hidden = keras.layers.Flatten()(values)
    return keras.Model(values, keras.layers.Dense(4, activation="softmax")(hidden))


def train(
    *, examples: Examples | None = None, **changes: Any
) -> tuple[FittedNetwork, list[EpochRecord]]:
    records: list[EpochRecord] = []
    arguments: dict[str, Any] = {
        "build": build,
        "optimizer": "adam",
        "learning_rate": 0.1,
        "batch_size": 10,
        "epochs": 30,
        "stop_accuracy": 0.9,
        "by_feature": False,
        "n_features": None,
        "seed": 0,
        "on_epoch": lambda record, predict: records.append(record),
    }
    return train_network(examples or make_examples(), **arguments | changes), records


def test_training_stops_at_the_first_epoch_that_reaches_the_accuracy() -> None:
    _, records = train()
    assert len(records) < 30
    assert records[-1].accuracy >= 0.9
    assert all(record.accuracy < 0.9 for record in records[:-1])


@pytest.mark.parametrize(
    ("n_correct", "n_clips", "batch_size"), [(486, 810, 150), (729, 810, 150), (63, 90, 7)]
)
def test_training_stops_where_exactly_the_requested_share_is_right(
    n_correct: int, n_clips: int, batch_size: int
) -> None:
    labels = np.where(np.arange(n_clips) < n_correct, 0, 1)
    examples = Examples(
        inputs=(np.random.default_rng(0).normal(size=(n_clips, 2)).astype(np.float32),),
        positions=np.arange(n_clips),
        quadrants=labels,
    )

    def always_first(shape: tuple[int, ...]) -> keras.Model:
        values = keras.Input(shape)
        bias = keras.initializers.Constant([9.0, 0.0, 0.0, 0.0])
        layer = keras.layers.Dense(
            4, activation="softmax", kernel_initializer="zeros", bias_initializer=bias
        )
        return keras.Model(values, layer(values))

    _, records = train(
        examples=examples,
        build=always_first,
        learning_rate=1e-9,
        batch_size=batch_size,
        epochs=2,
        stop_accuracy=n_correct / n_clips,
    )
    assert [record.accuracy for record in records] == [n_correct / n_clips]


def test_training_ends_with_the_epochs_where_the_accuracy_is_out_of_reach() -> None:
    _, records = train(learning_rate=1e-9, epochs=3)
    assert [record.epoch for record in records] == [1, 2, 3]


def test_epoch_figures_are_means_over_all_clips() -> None:
    _, records = train(learning_rate=1e-9, epochs=1)
    fitted, _ = train(learning_rate=1e-9, epochs=1)
    examples = make_examples()
    probabilities = fitted.predict(examples).probabilities
    loss = -np.log(probabilities[np.arange(len(examples)), examples.labels]).mean()
    accuracy = np.mean(probabilities.argmax(axis=1) == examples.labels)
    assert records[0].loss == pytest.approx(loss, abs=1e-4)
    assert records[0].accuracy == pytest.approx(accuracy, abs=1e-6)


def test_normalisation_is_that_of_the_training_clips() -> None:
    fitted, _ = train(epochs=1)
    values = make_examples().read(0).astype(np.float64)
    assert fitted.mean == pytest.approx(values.mean())
    assert fitted.scale == pytest.approx(values.std())


def test_features_are_standardised_each_by_itself() -> None:
    fitted, _ = train(epochs=1, by_feature=True)
    values = make_examples().read(0).astype(np.float64)
    assert fitted.mean == pytest.approx(values.mean(axis=0), rel=1e-5)
    assert fitted.scale == pytest.approx(values.std(axis=0), rel=1e-3)


def test_feature_that_hardly_changes_does_no_harm() -> None:
    examples = make_examples()
    values = examples.read(0).reshape(32, 15).astype(np.float64)
    constant = np.concatenate([values, np.full((32, 9), 0.1)], axis=1)
    fitted, _ = train(
        examples=replace(examples, inputs=(constant,)), build=build, by_feature=True, epochs=30
    )
    moved = constant + np.where(np.arange(24) < 15, 0.0, 1e-4)
    predicted = fitted.predict(replace(examples, inputs=(moved,))).quadrants
    assert np.mean(predicted == examples.labels) > 0.9


def test_statistics_hold_far_from_zero() -> None:
    examples = make_examples()
    values = 1e4 + np.random.default_rng(1).normal(size=(32, 2)).astype(np.float64)
    fitted, _ = train(examples=replace(examples, inputs=(values,)), by_feature=True, epochs=1)
    assert fitted.mean == pytest.approx(values.mean(axis=0))
    assert fitted.scale == pytest.approx(values.std(axis=0), rel=1e-5)


def test_only_the_most_relevant_features_are_read(tmp_path: Path) -> None:
    labels = np.arange(32) % 4
    noise = np.random.default_rng(0).normal(size=(32, 9))
    noise[:, 2] += 5 * (labels // 2)
    noise[:, 7] -= 5 * (labels % 2)
    examples = Examples(inputs=(noise,), positions=np.arange(32), quadrants=labels)
    arguments: dict[str, Any] = {"by_feature": True, "n_features": 2, "epochs": 3}
    fitted, _ = train(examples=examples, **arguments)
    assert list(fitted.columns) == [2, 7]
    assert fitted.network.input_shape == (None, 2)
    fitted.save(tmp_path)
    again = load_network(tmp_path).predict(examples).probabilities
    assert np.array_equal(again, fitted.predict(examples).probabilities)


def test_divergence_ends_the_training_with_a_hint() -> None:
    with pytest.raises(DivergenceError, match="learning_rate below"):
        train(optimizer="sgd", learning_rate=1e38, epochs=5, stop_accuracy=1.0)
