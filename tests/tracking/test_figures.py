"""Figures of a fold: what was made, on one scale, with the names of the clips."""

from __future__ import annotations

import io

import matplotlib.image
import numpy as np

from mer_mlflow.tracking.figures import illustration_files, spectrograms_figure
from mer_mlflow.training import Illustration


def test_nothing_to_show_makes_no_file() -> None:
    assert list(illustration_files(Illustration(numbers={"x": 1.0}), ["a"])) == []


def test_reconstructions_and_synthesised_spectrograms_are_drawn() -> None:
    rng = np.random.default_rng(0)
    shown = Illustration(
        reconstructed=rng.normal(size=(2, 2, 16, 20)).astype(np.float32),
        synthesised=rng.normal(size=(4, 3, 16, 20)).astype(np.float32),
    )
    files = {file.name: file.content for file in illustration_files(shown, ["a", "b", "c"])}
    assert list(files) == ["figures/reconstructions.png", "figures/synthesised.png"]
    for content in files.values():
        assert np.ptp(matplotlib.image.imread(io.BytesIO(content))) > 0.5


def test_clips_may_have_any_name() -> None:
    shown = Illustration(reconstructed=np.zeros((1, 2, 4, 5), dtype=np.float32))
    (file,) = illustration_files(shown, ["cost $5^^ $x"])
    assert file.content.startswith(b"\x89PNG")


def test_panels_share_a_scale_and_differences_have_their_own() -> None:
    before = np.linspace(-80, 0, 12).reshape(3, 4)
    row = {"c1": before, "reconstructed": before + 5, "difference": np.full((3, 4), 5.0)}
    figure = spectrograms_figure([row, {**row, "difference": np.full((3, 4), -7.0)}])
    axes = [each for each in figure.axes if each.get_title()]
    assert [each.get_title() for each in axes] == [*row, *row]
    limits = [each.images[0].get_clim() for each in axes]
    assert limits[:2] == limits[3:5] == [(-80, 5)] * 2
    assert limits[2] == limits[5] == (-7, 7)
    assert np.array_equal(axes[0].images[0].get_array(), before)
