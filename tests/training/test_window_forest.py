"""Forests on windows: summaries, votes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mer_mlflow.methods import get_method
from mer_mlflow.representations import Embedding, Examples
from mer_mlflow.training.window_forest import as_rows

METHOD = get_method("openl3_rf")


def make_examples(n_clips: int, *, seed: int) -> Examples:
    """Windows whose spread separates two quadrants, and whose mean separates the other two."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n_clips) % 4
    windows = rng.normal(size=(n_clips, 20, 6))
    windows *= np.where(labels % 2, 4.0, 1.0)[:, np.newaxis, np.newaxis]
    windows += 4.0 * (labels // 2)[:, np.newaxis, np.newaxis]
    return Examples(
        inputs=(windows.astype(np.float32),), positions=np.arange(n_clips), quadrants=labels
    )


def test_rows_are_mean_and_deviation_or_all_values() -> None:
    examples = make_examples(5, seed=0)
    windows = examples.read(0)
    rows = as_rows(examples, "mean_std").read(0)
    assert rows == pytest.approx(np.concatenate([windows.mean(1), windows.std(1)], axis=1))
    assert np.array_equal(as_rows(examples, "flat").read(0), windows.reshape(5, -1))


@pytest.mark.parametrize("summary", ["mean_std", "flat", "vote"])
def test_each_summary_learns_and_is_saved(summary: str, tmp_path: Path) -> None:
    chosen = METHOD.resolve({"summary": summary, "n_estimators": 30})
    fitted = METHOD.fit(make_examples(60, seed=0), chosen, 0, lambda record, predict: None)
    test = make_examples(20, seed=1)
    prediction = fitted.predict(test.without_labels())
    accuracy = np.mean(prediction.quadrants == test.labels)
    assert accuracy > (0.9 if summary == "mean_std" else 0.6)
    fitted.save(tmp_path)
    again = METHOD.load(tmp_path).predict(test.without_labels())
    assert np.array_equal(again.probabilities, prediction.probabilities)
    assert np.array_equal(again.quadrants, prediction.quadrants)


def test_networks_are_read_by_their_names() -> None:
    for network in ("mel256", "mel128"):
        (item,) = METHOD.inputs_for(METHOD.resolve({"network": network}))
        assert item == Embedding(network=f"openl3_{network}", layer="frames")
        assert item.shape == (296, 512)
