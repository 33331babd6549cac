"""Figure of a clip's spectrogram before and after a transform."""

from __future__ import annotations

import io

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_mlflow.representations import Mel


def before_and_after(before: NDArray[np.floating], after: NDArray[np.floating], mel: Mel) -> bytes:
    """Plot two mel spectrograms and their difference.

    Parameters
    ----------
    before, after : spectrograms in decibels [shape=(n_mels, n_frames)]
    mel : representation that they were computed with

    Returns
    -------
    PNG file
    """
    figure = Figure(figsize=(9, 7), layout="constrained")
    rows = figure.subplots(3, 1, sharex=True, sharey=True)
    extent = (0.0, mel.duration, 0.0, float(mel.n_mels))
    low, high = min(before.min(), after.min()), max(before.max(), after.max())
    spread = max(1.0, float(np.abs(after - before).max()))
    panels = (
        ("before", before, "magma", low, high, "dB"),
        ("after", after, "magma", low, high, "dB"),
        ("after minus before", after - before, "PuOr_r", -spread, spread, "dB"),
    )
    for axes, (title, values, colours, least, most, unit) in zip(rows, panels, strict=True):
        image = axes.imshow(values, origin="lower", aspect="auto", extent=extent, cmap=colours)
        image.set_clim(least, most)
        axes.set(title=title, ylabel="mel band")
        figure.colorbar(image, ax=axes, label=unit)
    rows[-1].set_xlabel("seconds")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
