"""Figure of a calibration: the share of right predictions against their probability."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_mlflow.deployment.calibration import Calibration, binned
from mer_mlflow.palette import BLUE, GREY, VERMILION

N_BINS = 10


def reliability_figure(calibration: Calibration, *, title: str) -> Figure:
    """Plot the share of right predictions against their probability, and the number of each.

    The calibrated probabilities are shown if the temperature changes them.
    """
    figure = Figure(figsize=(5.2, 5.4), layout="constrained")
    curve, histogram = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    curve.plot([0, 1], [0, 1], color=GREY, ls=":", label="perfect")
    rows = [("as predicted", VERMILION, "o", calibration.raw, calibration.before)]
    if calibration.temperature != 1:
        rows.append(("calibrated", BLUE, "s", calibration.scaled, calibration.after))
    for name, colour, marker, probabilities, measures in rows:
        label = f"{name} (ECE {measures['ece']:.1%}, Brier {measures['brier']:.3f})"
        confidence, accuracy, n = binned(probabilities, calibration.quadrants, n_bins=N_BINS)
        line = {"color": colour, "marker": marker, "label": label, "clip_on": False}
        curve.plot(confidence[n > 0], accuracy[n > 0], **line)
        _plot_counts(histogram, probabilities, colour=colour)
    curve.set(ylabel="share that is right", ylim=(0, 1), title=title)
    curve.legend(loc="upper left", fontsize="small")
    histogram.set(xlabel="probability of the predicted quadrant", ylabel="predictions", xlim=(0, 1))
    return figure


def _plot_counts(axes: Axes, probabilities: NDArray[np.float64], *, colour: str) -> None:
    edges = [i / N_BINS for i in range(N_BINS + 1)]
    axes.hist(probabilities.max(axis=1), bins=edges, histtype="step", color=colour)
