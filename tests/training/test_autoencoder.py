"""The autoencoder and what is made with it: of training clips, of their size, seeded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest

from mer_mlflow.errors import DivergenceError
from mer_mlflow.methods import get_method
from mer_mlflow.representations import Examples
from mer_mlflow.training import EpochRecord, Illustrated
from mer_mlflow.training.autoencoder import (
    FittedAutoencoder,
    load_autoencoder,
    train_autoencoder,
)
from mer_mlflow.training.gan import generate

SHAPE = (32, 40)
N_CLIPS = 24


def make_examples(n_clips: int = N_CLIPS, *, seed: int = 0) -> Examples:
    """Spectrograms in decibels, each with a loud band whose place depends on the quadrant."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_clips) % 4
    values = rng.normal(-40, 3, size=(n_clips, *SHAPE))
    for clip, label in enumerate(labels):
        values[clip, 8 * label : 8 * label + 4] += 30
    return Examples(
        inputs=(values.astype(np.float32),), positions=np.arange(n_clips), quadrants=labels
    )


def train(
    examples: Examples, *, epochs: int = 60, learning_rate: float = 0.005
) -> tuple[FittedAutoencoder, list[EpochRecord]]:
    records: list[EpochRecord] = []
    fitted = train_autoencoder(
        examples,
        learning_rate=learning_rate,
        batch_size=8,
        epochs=epochs,
        seed=0,
        on_epoch=lambda record, predict: records.append(record),
    )
    return fitted, records


@pytest.fixture(scope="module")
def fitted() -> FittedAutoencoder:
    return train(make_examples())[0]


def test_spectrograms_come_back(fitted: FittedAutoencoder) -> None:
    unseen = make_examples(seed=1).without_labels()
    bottlenecks = fitted.encode(unseen)
    assert bottlenecks.shape == (N_CLIPS, 2 * 3 * 128)
    decoded = fitted.decode(bottlenecks)
    assert decoded.shape == (N_CLIPS, *SHAPE)
    error = np.sqrt(np.mean((decoded - unseen.read(0)) ** 2))
    assert error < 0.5 * unseen.read(0).std()
    shown = fitted.illustrate(unseen)
    assert shown.numbers["reconstruction_rmse_db"] == pytest.approx(error, rel=1e-5)
    assert shown.reconstructed is not None
    assert np.array_equal(shown.reconstructed[:, 0], unseen.read(0)[:3])
    assert shown.reconstructed[:, 1] == pytest.approx(decoded[:3], abs=1e-4)


def test_saved_autoencoder_does_the_same(fitted: FittedAutoencoder, tmp_path: Path) -> None:
    examples = make_examples(seed=1)
    fitted.save(tmp_path)
    again = load_autoencoder(tmp_path)
    bottlenecks = fitted.encode(examples)
    assert np.array_equal(again.encode(examples), bottlenecks)
    assert np.array_equal(again.decode(bottlenecks), fitted.decode(bottlenecks))


def test_loss_falls_and_no_label_is_read() -> None:
    _, records = train(make_examples().without_labels(), epochs=5)
    losses = [record.loss for record in records]
    assert losses == sorted(losses, reverse=True)
    assert {(record.stage, record.accuracy) for record in records} == {("autoencoder", None)}


def test_divergence_is_told() -> None:
    with pytest.raises(DivergenceError, match="try a learning_rate below 1e"):
        train(make_examples(), epochs=3, learning_rate=1e30)


def test_generators_learn_their_quadrant_and_leave_the_decoder_alone(
    fitted: FittedAutoencoder,
) -> None:
    decoder = [np.array(weight) for weight in fitted.decoder.get_weights()]
    records: list[EpochRecord] = []
    made, quadrants = generate(
        make_examples(),
        fitted,
        n_each=5,
        learning_rate=0.001,
        batch_size=6,
        epochs=40,
        seed=0,
        on_epoch=lambda record, predict: records.append(record),
    )
    assert made.shape == (20, *SHAPE)
    assert list(quadrants) == list(np.repeat(np.arange(4), 5))
    bands = made.mean(axis=2).reshape(20, 4, 8)[:, :, :4].mean(axis=2)
    assert np.mean(bands.argmax(axis=1) == quadrants) > 0.8
    assert list(dict.fromkeys(record.stage for record in records)) == [
        "gan_Q1",
        "gan_Q2",
        "gan_Q3",
        "gan_Q4",
    ]
    for before, after in zip(decoder, fitted.decoder.get_weights(), strict=True):
        assert np.array_equal(before, after)


@pytest.mark.parametrize("name", ["cnn_deepsmote", "cnn_smote_raw"])
def test_nothing_of_a_test_clip_is_in_what_is_made(name: str) -> None:
    """A clip that shouts would be heard in every reconstruction, neighbour and normalisation."""
    method = get_method(name)
    seconds = method.inputs[0].with_duration(1.5)  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    values = rng.normal(-40, 3, size=(N_CLIPS, *seconds.shape)).astype(np.float32)
    test = np.array([0, 5, 10, 15])
    values[test] = 1e6
    every = Examples(
        inputs=(values,), positions=np.arange(N_CLIPS), quadrants=np.arange(N_CLIPS) % 4
    )
    given = {"epochs": 1, "batch_size": 8, "filters": 2, "n_synthesised": 6}
    given |= {key: 2 for key in method.defaults if key == "autoencoder_epochs"}
    training = every.take(np.setdiff1d(np.arange(N_CLIPS), test))
    model = method.fit(training, method.resolve(given), 0, lambda record, predict: None)
    assert isinstance(model, Illustrated)
    shown = model.illustrate(training)
    assert shown.synthesised is not None
    assert np.abs(shown.synthesised).max() < 100
    leaky = method.fit(every, method.resolve(given), 0, lambda record, predict: None)
    assert isinstance(leaky, Illustrated)
    shown = leaky.illustrate(training)
    assert shown.synthesised is not None
    assert np.abs(shown.synthesised).max() > 1000, "a leak would not show"


def test_copies_of_recordings_train_neither_autoencoder_nor_sampler() -> None:
    method = get_method("cnn_smote_raw")
    plain = replace(make_examples(), inputs=(np.zeros((N_CLIPS, 64, 64), dtype=np.float32),))
    values = np.concatenate([plain.read(0), plain.read(0) + 1000])
    sources = np.tile(np.arange(N_CLIPS), 2)
    with_copies = Examples(
        inputs=(values,),
        positions=np.arange(2 * N_CLIPS),
        quadrants=plain.labels[sources],
        sources=sources,
    )
    given = {"epochs": 1, "batch_size": 8, "filters": 2}
    model = method.fit(with_copies, method.resolve(given), 0, lambda record, predict: None)
    assert isinstance(model, Illustrated)
    shown = model.illustrate(plain)
    assert shown.synthesised is not None
    assert not shown.synthesised.any()
    assert shown.numbers["n_synthesised"] == 100


def test_networks_of_the_generator_have_the_weights_that_are_counted(
    fitted: FittedAutoencoder,
) -> None:
    halves = (fitted.encoder.network, fitted.decoder)
    assert all(isinstance(half, keras.Model) for half in halves)
    assert fitted.n_parameters == sum(half.count_params() for half in halves)
