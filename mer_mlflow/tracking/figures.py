"""Figures of one cross-validation, readable in print and without colour vision."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_mlflow.crossval.results import CrossValidation
from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.palette import BLUE, GREY, VERMILION
from mer_mlflow.tracking.items import File, confusion_matrix
from mer_mlflow.training import Illustration

DIFFERENCE = "difference"


def figure_files(validation: CrossValidation) -> Iterator[File]:
    """Yield PNG files: confusion matrix, F1 by fold and, if there are epochs, learning curves."""
    title = f"{validation.setting.method.title} on {validation.setting.clips.name}"
    yield _png("figures/confusion_matrix.png", confusion_figure(validation.predictions, title))
    yield _png("figures/f1_by_fold.png", fold_figure(validation, title))
    if any(result.epochs for result in validation.results):
        yield _png("figures/learning_curves.png", curves_figure(validation, title))


def confusion_figure(predictions: pd.DataFrame, title: str) -> Figure:
    """Plot the confusion matrix, normalised by row."""
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
    """Plot the macro F1 of every fold by repetition, with mean and corrected interval."""
    folds, summary = validation.folds, validation.summary["f1_macro"]
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.subplots()
    if not np.isnan(summary.low):
        axes.axhspan(summary.low, summary.high, color=BLUE, alpha=0.15, lw=0)
    axes.axhline(summary.mean, color=BLUE, label=f"mean {summary.mean:.3f} and 95 % interval")
    offsets = (folds["fold"] - folds["fold"].mean()) / (2.5 * folds["fold"].max())
    axes.scatter(folds["repeat"] + offsets, folds["f1_macro"], s=16, color=VERMILION, label="fold")
    axes.axhline(1 / len(QUADRANTS), color=GREY, ls=":", label="chance")
    axes.set_xticks(sorted(folds["repeat"].unique()))
    axes.set(xlabel="repetition", ylabel="macro F1", ylim=(0, 1), title=title)
    axes.legend(loc="lower right", fontsize="small", framealpha=0.9)
    return figure


def curves_figure(validation: CrossValidation, title: str) -> Figure:
    """Plot loss and accuracy over epochs: a thin line per fold, a thick line for the median.

    There is a row of axes for each network that the method trains.
    """
    stages = list(
        dict.fromkeys(epoch.stage for result in validation.results for epoch in result.epochs)
    )
    figure = Figure(figsize=(8, 0.4 + 3.2 * len(stages)), layout="constrained")
    figure.suptitle(title)
    rows = figure.subplots(len(stages), 2, squeeze=False)
    for stage, (loss, accuracy) in zip(stages, rows, strict=True):
        _plot_curves(loss, validation, stage, "loss")
        if not _plot_curves(accuracy, validation, stage, "accuracy"):
            accuracy.set_axis_off()
    return figure


def illustration_files(illustration: Illustration, clip_ids: Sequence[str]) -> Iterator[File]:
    """Yield PNG files of a fold's spectrograms.

    Parameters
    ----------
    illustration : illustration of the fold
    clip_ids : ids of its test clips, in order
    """
    if illustration.reconstructed is not None:
        rows = [
            {clip: before, "reconstructed": after, DIFFERENCE: after - before}
            for clip, (before, after) in zip(clip_ids, illustration.reconstructed, strict=False)
        ]
        yield _png("figures/reconstructions.png", spectrograms_figure(rows))
    if illustration.synthesised is not None:
        by_rank = zip(*illustration.synthesised, strict=True)
        rows = [
            {f"{quadrant}, synthesised": one for quadrant, one in zip(QUADRANTS, row, strict=True)}
            for row in by_rank
        ]
        yield _png("figures/synthesised.png", spectrograms_figure(rows))


def spectrograms_figure(rows: Sequence[Mapping[str, NDArray[np.floating]]]) -> Figure:
    """Plot mel spectrograms in decibels on a common scale, and differences on a separate one.

    Parameters
    ----------
    rows : rows of panels by title, of equal lengths [shape=(n_mels, n_frames)]
    """
    figure = Figure(figsize=(4.0 * len(rows[0]), 0.4 + 2.1 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), len(rows[0]), squeeze=False, sharex=True, sharey=True)
    panels = [item for row in rows for item in row.items()]
    plain = [panel for name, panel in panels if name != DIFFERENCE]
    low, high = (float(bound(plain)) for bound in (np.min, np.max))
    spread = float(
        np.max([np.abs(panel).max() for name, panel in panels if name == DIFFERENCE] or 1.0)
    )
    images = {}
    for axes, (name, panel) in zip(grid.flat, panels, strict=True):
        is_difference = name == DIFFERENCE
        bounds = (-spread, spread) if is_difference else (low, high)
        image = axes.imshow(
            panel, origin="lower", aspect="auto", cmap="PuOr_r" if is_difference else "magma"
        )
        image.set_clim(*bounds)
        axes.set_title(name, fontsize="small", parse_math=False)
        images[is_difference] = image
    for axes in grid[-1]:
        axes.set_xlabel("frame")
    for axes in grid[:, 0]:
        axes.set_ylabel("mel band")
    for is_difference, image in images.items():
        label = f"{DIFFERENCE}, dB" if is_difference else "dB"
        figure.colorbar(image, ax=grid, label=label, shrink=0.8)
    return figure


def _plot_curves(axes: Axes, validation: CrossValidation, stage: str, measure: str) -> bool:
    """Plot the curves of one measure; return False if there are none."""
    n_drawn = 0
    for side, colour in (("train", BLUE), ("test", VERMILION)):
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
            n_drawn += len(drawn)
    if n_drawn:
        axes.set(xlabel="epoch", ylabel=f"{stage} {measure}".strip())
        axes.legend(fontsize="small")
    return n_drawn > 0


def _plot_median(axes: Axes, curves: list[list[float]], colour: str, label: str) -> None:
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
