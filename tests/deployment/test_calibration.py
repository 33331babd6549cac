"""Calibration of probabilities by a temperature."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray

from mer_mlflow.deployment.calibration import (
    best_temperature,
    calibrate,
    calibration_error,
    with_temperature,
)
from mer_mlflow.deployment.calibration_figure import reliability_figure


def predictions(n: int, *, temperature: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """True probabilities sharpened by a temperature, and quadrants drawn from the true ones."""
    random = np.random.default_rng(0)
    true = random.dirichlet(np.full(4, 0.8), size=n)
    quadrants = (true.cumsum(axis=1) > random.random((n, 1))).argmax(axis=1)
    return with_temperature(true, 1 / temperature), quadrants


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_temperature_of_the_predictions_is_found(temperature: float) -> None:
    probabilities, quadrants = predictions(20_000, temperature=temperature)
    assert best_temperature(probabilities, quadrants) == pytest.approx(temperature, rel=0.05)


def test_temperature_of_other_folds_improves_what_was_too_certain() -> None:
    probabilities, quadrants = predictions(4000, temperature=3.0)
    found = calibrate(probabilities, quadrants, folds=np.arange(4000) % 10)
    assert found.before["ece"] > 0.1
    assert found.after["ece"] < 0.04
    assert found.after["brier"] < found.before["brier"]
    assert np.array_equal(found.scaled.argmax(axis=1), probabilities.argmax(axis=1))


def test_temperature_that_improves_nothing_is_not_used() -> None:
    quadrants = np.repeat(np.arange(4), 25)
    probabilities = (
        np.full((100, 4), 0.1) + 0.6 * np.eye(4)[(quadrants + (np.arange(100) < 30)) % 4]
    )
    found = calibrate(probabilities, quadrants, folds=np.arange(100) // 30)
    assert found.temperature == 1
    assert found.after == found.before
    assert np.array_equal(found.scaled, probabilities)


def test_labels_of_a_fold_have_no_influence_on_its_probabilities() -> None:
    probabilities, quadrants = predictions(200, temperature=2.0)
    folds = np.arange(200) % 4
    found = calibrate(probabilities, quadrants, folds=folds).scaled
    other = np.where(folds == 1, (quadrants + 1) % 4, quadrants)
    changed = calibrate(probabilities, other, folds=folds).scaled
    assert np.array_equal(changed[folds == 1], found[folds == 1])
    assert not np.allclose(changed[folds != 1], found[folds != 1])


def test_error_is_that_of_the_definition() -> None:
    probabilities = np.array([[0.9, 0.1, 0, 0], [0.9, 0.1, 0, 0], [0.55, 0.45, 0, 0], [1, 0, 0, 0]])
    quadrants = np.array([0, 1, 1, 0])
    # bins of one fifth: 0.55 alone; 0.9, 0.9 and 1.0 together with two of three right
    expected = 0.25 * 0.55 + 0.75 * abs(2.8 / 3 - 2 / 3)
    assert calibration_error(probabilities, quadrants, n_bins=5) == pytest.approx(expected)


def test_brier_score_is_the_sum_over_quadrants() -> None:
    probabilities = np.array([[0.7, 0.1, 0.1, 0.1]])
    found = calibrate(probabilities, np.array([0]), folds=np.array([0]))
    assert found.before["brier"] == pytest.approx(0.3**2 + 3 * 0.1**2)


@given(
    npst.arrays(np.float64, (5, 4), elements=st.floats(0, 1)).filter(
        lambda values: bool((values.sum(axis=1) > 1e-3).all())
    ),
    st.floats(0.05, 20),
)
def test_order_and_zeros_stay(values: NDArray[np.float64], temperature: float) -> None:
    probabilities = values / values.sum(axis=1, keepdims=True)
    scaled = with_temperature(probabilities, temperature)
    assert np.allclose(scaled.sum(axis=1), 1)
    assert ((scaled == 0) | (probabilities > 0)).all()
    ordered = np.take_along_axis(scaled, probabilities.argsort(axis=1), axis=1)
    assert (np.diff(ordered, axis=1) >= -1e-12).all()


def test_figure_is_drawn() -> None:
    probabilities, quadrants = predictions(500, temperature=3.0)
    found = calibrate(probabilities, quadrants, folds=np.arange(500) % 10)
    figure = reliability_figure(found, title="cnn on demo")
    image = io.BytesIO()
    figure.savefig(image, format="png")
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels[0] == "perfect" and "calibrated (ECE " in labels[2]
    same = calibrate(probabilities, probabilities.argmax(axis=1), folds=np.zeros(500, dtype=int))
    unchanged = replace(same, temperature=1.0, after=same.before, scaled=same.raw)
    shown = reliability_figure(unchanged, title="cnn on demo").axes[0].get_legend().get_texts()
    assert len(shown) == 2
