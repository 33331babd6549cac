"""PyTorch networks by the shared recipe: they learn, are seeded, saved and loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mer_mlflow.errors import DivergenceError
from mer_mlflow.representations import Examples
from mer_mlflow.training import EpochRecord, FittedModel
from mer_mlflow.training.hyperparameters import AdamTraining, Role, searchable
from mer_mlflow.training.torch_network import fit_network, load_network

N_CLIPS, N_FEATURES = 40, 6


@dataclass(frozen=True, kw_only=True)
class DenseHyperparameters(AdamTraining):
    units: int = searchable(16, Role.ARCHITECTURE, low=1)
    dropout: float = searchable(0.1, Role.ARCHITECTURE, low=0.0, high=0.9)
    n_features: int = searchable(4, Role.SELECTION, low=1)


def dense(input_shape: tuple[int, ...], n_classes: int, units: int, dropout: float) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(int(np.prod(input_shape)), units),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(units, n_classes),
    )


def network() -> Callable[..., nn.Module]:
    return dense


def hyperparameters(**given: Any) -> DenseHyperparameters:
    return DenseHyperparameters(**{"learning_rate": 0.01, "batch_size": 8, "epochs": 60, **given})


def make_examples(seed: int = 0) -> Examples:
    rng = np.random.default_rng(seed)
    labels = np.arange(N_CLIPS) % 4
    apart = rng.normal(size=(N_CLIPS, N_FEATURES)) + 2 * np.eye(4, N_FEATURES)[labels]
    values = 1000 + 100 * apart
    return Examples(inputs=(values,), positions=np.arange(N_CLIPS), quadrants=labels)


def fit(seed: int = 0, **given: Any) -> tuple[FittedModel, list[EpochRecord]]:
    records: list[EpochRecord] = []

    def on_epoch(record: EpochRecord, predict: Any) -> None:
        records.append(record)
        assert predict(make_examples()).quadrants.shape == (N_CLIPS,)

    fitting = fit_network(network, by_feature=True)
    return fitting(make_examples(), hyperparameters(**given), seed, on_epoch), records


def test_network_learns_and_stops_at_the_requested_accuracy() -> None:
    fitted, records = fit()
    assert [record.epoch for record in records] == list(range(1, len(records) + 1))
    assert records[-1].accuracy is not None and records[-1].accuracy >= 0.9
    assert all(record.accuracy is not None and record.accuracy < 0.9 for record in records[:-1])
    unseen = make_examples(seed=1)
    assert np.mean(fitted.predict(unseen).quadrants == unseen.labels) > 0.7
    assert fitted.n_parameters == (4 + 1) * 16 + (16 + 1) * 4


def test_seed_decides() -> None:
    one, again, other = (fit(seed, epochs=3)[0] for seed in (0, 0, 1))
    expected = one.predict(make_examples()).probabilities
    assert np.array_equal(again.predict(make_examples()).probabilities, expected)
    assert not np.array_equal(other.predict(make_examples()).probabilities, expected)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_saved_network_predicts_the_same(optimizer: str, tmp_path: Path) -> None:
    fitted, _ = fit(epochs=2, optimizer=optimizer)
    fitted.save(tmp_path)
    expected = fitted.predict(make_examples()).probabilities
    torch.manual_seed(5)
    loaded = load_network(network)(tmp_path)
    assert np.array_equal(loaded.predict(make_examples()).probabilities, expected)


def test_divergence_is_an_error() -> None:
    with pytest.raises(DivergenceError, match="try a learning_rate below 1e"):
        fit(epochs=5, learning_rate=1e30, optimizer="sgd")
