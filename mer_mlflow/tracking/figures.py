"""Figures of one cross-validation, readable in print and without colour vision."""

from __future__ import annotations

import io
from collections.abc import Iterator

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from mer_mlflow.crossval.validation import CrossValidation
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.tracking.items import File, confusion_matrix

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#888888"
"""Of the palette by Okabe and Ito."""

matplotlib.use("Agg")


def figure_files(validation: CrossValidation) -> Iterator[File]:
    """Confusion matrix, F1 by fold and, where there are epochs, learning curves, as PNG."""
    title = f"{validation.setting.method.title} on {validation.setting.clips.name}"
    yield _png("figures/confusion_matrix.png", confusion_figure(validation.predictions, title))
    yield _png("figures/f1_by_fold.png", fold_figure(validation, title))
    if any(result.epochs for result in validation.results):
        yield _png("figures/learning_curves.png", curves_figure(validation, title))


def confusion_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """Draw the confusion matrix, each row divided by its sum."""
    counts = confusion_matrix(predictions).to_numpy(dtype=np.float64)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for row, column in np.ndindex(shares.shape):
        value = shares[row, column]
        colour = "black" if value > 0.55 else "white"
        axes.text(column, row, f"{value:.0%}", ha="center", va="center", color=colour)
    axes.set_xticks(range(len(QUADRANTS)), QUADRANTS)
    axes.set_yticks(range(len(QUADRANTS)), QUADRANTS)
    axes.set(xlabel="predicted", ylabel="true", title=title)
    figure.colorbar(image, ax=axes, label="share of the true quadrant", shrink=0.85)
    return figure


def fold_figure(validation: CrossValidation, title: str) -> Figure:
    """Draw the macro F1 of every fold by repetition, with mean and corrected interval."""
    folds, summary = validation.folds, validation.summary["f1_macro"]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    if not np.isnan(summary.low):
        axes.axhspan(summary.low, summary.high, color=BLUE, alpha=0.15, lw=0)
    axes.axhline(summary.mean, color=BLUE, label=f"mean {summary.mean:.3f} and 95 % interval")
    offsets = (folds["fold"] - folds["fold"].mean()) / (2.5 * folds["fold"].max())
    axes.scatter(folds["repeat"] + offsets, folds["f1_macro"], s=16, color=ORANGE, label="fold")
    axes.axhline(1 / len(QUADRANTS), color=GREY, ls=":", label="chance")
    axes.set_xticks(sorted(folds["repeat"].unique()))
    axes.set(xlabel="repetition", ylabel="macro F1", ylim=(0, 1), title=title)
    axes.legend(loc="lower right", fontsize="small", framealpha=0.9)
    return figure


def curves_figure(validation: CrossValidation, title: str) -> Figure:
    """Draw loss and accuracy over epochs: a thin line a fold, a thick one for their median.

    Methods that train several networks have a row of axes for each.
    """
    stages = list(
        dict.fromkeys(epoch.stage for result in validation.results for epoch in result.epochs)
    )
    figure = Figure(figsize=(8, 0.4 + 3.2 * len(stages)), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(len(stages), 2, squeeze=False)
    for stage, (loss, accuracy) in zip(stages, rows, strict=True):
        _plot_curves(loss, validation, stage, "loss")
        _plot_curves(accuracy, validation, stage, "accuracy")
    return figure


def _plot_curves(
    axes: matplotlib.axes.Axes, validation: CrossValidation, stage: str, measure: str
) -> None:
    for side, colour in (("train", BLUE), ("test", ORANGE)):
        name = f"{side}_{measure}"
        curves = [
            [getattr(epoch, name) for epoch in result.epochs if epoch.stage == stage]
            for result in validation.results
        ]
        drawn = [curve for curve in curves if curve and curve[0] is not None]
        for curve in drawn:
            axes.plot(range(1, len(curve) + 1), curve, color=colour, lw=0.7, alpha=0.4)
        if drawn:
            _plot_median(axes, drawn, colour, side)
    axes.set(xlabel="epoch", ylabel=f"{stage} {measure}".strip())
    axes.legend(fontsize="small")


def _plot_median(
    axes: matplotlib.axes.Axes, curves: list[list[float]], colour: str, label: str
) -> None:
    shortest = min(len(curve) for curve in curves)
    median = np.median([curve[:shortest] for curve in curves], axis=0)
    marker = "o" if shortest == 1 else ""
    axes.plot(
        range(1, shortest + 1), median, color=colour, lw=2, label=f"{label}, median", marker=marker
    )


def _png(name: str, figure: Figure) -> File:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130)
    return File(name=name, content=buffer.getvalue())
