"""Songs are divided into windows, and their probabilities are the mean over these."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mer_mlflow.deployment.prediction import predict_song, windows
from mer_mlflow.errors import AudioError, ParameterError
from mer_mlflow.representations import Examples, Waveform
from mer_mlflow.representations.audio import MARGIN, Audio
from mer_mlflow.training import Prediction
from mer_mlflow.training.method import most_probable

SR = 16_000


@dataclass(frozen=True, kw_only=True)
class Level:
    """A model whose quadrant is the level of a window, in whole numbers."""

    n_parameters: int | None = None

    def predict(self, examples: Examples) -> Prediction:
        levels = np.abs(examples.read(0)[:, : SR // 2]).mean(axis=1).round().astype(int)
        return most_probable(0.7 * np.eye(4)[levels] + 0.075)

    def save(self, folder: Path) -> None:
        raise NotImplementedError


def song(*levels: float, seconds: float = 4.0) -> Audio:
    samples = np.repeat(np.array(levels, dtype=np.float32), round(seconds * SR))
    return Audio(samples=samples, sr=SR, n_channels=1)


@given(st.floats(0.1, 600), st.floats(0.5, 60), st.floats(0.1, 60))
def test_windows_cover_a_song_without_leaving_it(seconds: float, length: float, hop: float) -> None:
    starts = windows(seconds, length=length, hop=hop)
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    assert starts[-1] <= max(0, seconds - length) + 1e-9
    assert seconds - (starts[-1] + length) <= MARGIN + 1e-9
    assert all(later - start <= hop + 1e-9 for start, later in pairwise(starts))


@pytest.mark.parametrize("hop", [0.0, -1.0, float("nan"), float("inf")])
def test_hop_that_is_no_time_is_refused(hop: float) -> None:
    with pytest.raises(ParameterError, match="hop="):
        windows(60, length=30, hop=hop)


def test_song_of_two_parts_turns_where_they_meet() -> None:
    inputs = (Waveform(sr=SR, duration=4.0),)
    found = predict_song(Level(), inputs, song(1, 1, 3, 3, 3), song="two.wav", hop=2.0)
    assert list(found.timeline["start"]) == [0, 2, 4, 6, 8, 10, 12, 14, 16]
    assert list(found.timeline["quadrant"]) == 4 * ["Q2"] + 5 * ["Q4"]
    assert list(found.timeline["end"]) == [start + 4 for start in found.timeline["start"]]
    assert found.quadrant == "Q4"
    assert found.probabilities["Q4"] == pytest.approx((5 * 0.775 + 4 * 0.075) / 9)
    assert sum(found.probabilities.values()) == pytest.approx(1)
    assert found.row["windows"] == 9 and found.row["seconds"] == 20
    assert str(found).startswith("two.wav: Q4 (Q1 7.5%")


def test_axes_have_the_signs_of_the_quadrants() -> None:
    inputs = (Waveform(sr=SR, duration=4.0),)
    signs = {}
    for level in (0.2, 1, 2, 3):
        found = predict_song(Level(), inputs, song(level), song="one", hop=None)
        signs[found.quadrant] = (np.sign(found.arousal), np.sign(found.valence))
        assert len(found.timeline) == 1
    assert signs == {"Q1": (1, 1), "Q2": (1, -1), "Q3": (-1, -1), "Q4": (-1, 1)}


def test_silence_is_refused() -> None:
    with pytest.raises(AudioError, match=r"nothing\.wav: is silent"):
        predict_song(Level(), (Waveform(sr=SR, duration=4.0),), song(0), song="nothing.wav")


def test_plot_has_a_point_for_each_window_and_full_probabilities() -> None:
    inputs = (Waveform(sr=SR, duration=4.0),)
    prediction = predict_song(Level(), inputs, song(0, 2, seconds=8.0), song="$a_b.wav", hop=2.0)
    plane, probabilities = prediction.plot().axes
    points = np.asarray(plane.collections[-1].get_offsets())
    expected = prediction.timeline[["valence", "arousal"]].to_numpy()
    assert np.allclose(points, expected)
    tops = [patch.get_data().values for patch in probabilities.patches]
    assert len(tops) == 4
    assert np.allclose(tops[-1], 1)


def test_plot_of_one_window_can_be_drawn() -> None:
    inputs = (Waveform(sr=SR, duration=4.0),)
    figure = predict_song(Level(), inputs, song(3), song="$a_b$.wav").plot()
    content = io.BytesIO()
    figure.savefig(content, format="png")
    assert content.getvalue().startswith(b"\x89PNG")
