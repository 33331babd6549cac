"""Figures of a report, made from data frames; readable in grey print and without colour vision.

All figures have the text width of a page, so that fonts are not scaled in print. They have no
titles, because the document has captions. Hundreds of marks are rasterised at the figure's
resolution, so that files stay small.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle
from matplotlib.textpath import TextPath
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.palette import (
    BLACK,
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    QUADRANT_COLOURS,
    SKY,
    VERMILION,
)
from mer_mlflow.reporting.hints import add_hints

Numbers = NDArray[np.float64]

WIDTH = 7.0
"""Width of every figure [inch]."""
TEXT = 8
"""Size of all text [point]."""
LINE = 0.145
"""Height of a line of text [inch]."""
DPI = 150
"""Resolution of rasterised marks."""

COLOURS = (BLUE, VERMILION, GREEN, BLACK, ORANGE, PURPLE, SKY)
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
DARK, PALE, WHITE = "#444444", "#DDDDDD", "#FFFFFF"
NEUTRAL = (PALE, WHITE)
INK_ON_COLOUR, PAPER_ON_COLOUR = "#010101", "#FEFEFE"
"""Colours of texts on coloured cells. They differ from black and white, which change on a dark
page."""

DIAMOND: dict[str, Any] = {
    "ls": "none",
    "marker": "D",
    "color": VERMILION,
    "ms": 6,
    "markerfacecolor": "none",
}
GOLDEN = (math.sqrt(5) - 1) / 2
THICKNESS = 0.13
"""Height of a box [inch]."""
MOST_EPOCHS = 400
"""Maximum number of points of a curve over all networks, so that files stay small."""

CHANCE = 100 / len(QUADRANTS)
MOODS = ("happy, excited", "angry, frantic", "sad, melancholic", "calm, content")
CORNERS = ((1, 1), (-1, 1), (-1, -1), (1, -1))
"""Signs of valence and arousal by quadrant."""
QUADRANT_MARKERS = ("o", "^", "s", "D")
LONGEST_NAME = 18
"""Maximum length of a clip's name [characters]."""

DECIDED = 0.95
"""Minimum probability of a verdict."""
SIGNS = ("▲", "=", "▼")
VERDICTS = (
    ("▲ better", BLUE),
    ("= equivalent", PALE),
    ("▼ worse", ORANGE),
    (f"undecided: all three below {100 * DECIDED:.0f} %", WHITE),
)


def forest(scores: pd.DataFrame) -> Figure:
    """Plot mean scores with intervals and published scores, one panel per dataset.

    Parameters
    ----------
    scores : one row per label and dataset, at least one; labels are sorted by their mean over
        datasets, datasets are in order of appearance

        - ``label`` : method and setting, one row of the panels each
        - ``dataset`` : title
        - ``mean`` : macro F1, 0 to 1, NaN if there is only a published one
        - ``low``, ``high`` : interval of the mean, NaN if there is none
        - ``published`` : the study's macro F1, 0 to 1, NaN if there is none
    """
    labels, datasets = _ranked(scores, "mean"), list(scores["dataset"].unique())
    figure, panels, heights = _panels(labels, datasets, "macro F1 in %")
    for dataset, rows in scores.groupby("dataset"):
        _plot_scores(panels[str(dataset)], rows, heights)
    has_interval = bool(scores[["low", "high"]].notna().all(axis=1).any())
    interval = Line2D([], [], color=BLUE, lw=1.4, label="corrected 95 % interval")
    handles = [
        _mark("o", BLUE, "mean"),
        *[interval] * has_interval,
        *[_diamond("published")] * bool(scores["published"].notna().any()),
        _chance(),
    ]
    _legend(figure, handles)
    return _with_fixed_layout(figure)


def fold_distributions(folds: pd.DataFrame) -> Figure:
    """Plot the scores of all folds and their quartiles, one panel per dataset.

    Parameters
    ----------
    folds : one row per fold, at least one; labels are sorted by their mean over datasets,
        datasets are in order of appearance

        - ``label`` : method and setting, one row of the panels each
        - ``dataset`` : title
        - ``split`` : the fold
        - ``f1_macro`` : macro F1, 0 to 1
    """
    labels, datasets = _ranked(folds, "f1_macro"), list(folds["dataset"].unique())
    figure, panels, heights = _panels(labels, datasets, "macro F1 of a fold in %")
    for dataset, rows in folds.dropna(subset="f1_macro").groupby("dataset"):
        _plot_folds(panels[str(dataset)], rows, heights)
    box = Patch(facecolor="white", edgecolor=BLACK, label="quartiles, whiskers to the extremes")
    median = Line2D([], [], color=BLACK, lw=2.4, label="median")
    _legend(figure, [_mark("o", SKY, "fold"), box, median, _chance()])
    return _with_fixed_layout(figure)


def confusions(matrices: Sequence[tuple[str, str, pd.DataFrame]]) -> Figure:
    """Plot confusion matrices, normalised by row.

    Parameters
    ----------
    matrices : (label, title of the dataset, counts), at least one; counts have the true quadrants
        as index and the predicted ones as columns, Q1 to Q4
    """
    n_rows, n_columns = _grid(len(matrices), most=4 if len(matrices) <= 9 else 6)
    side = min(1.5, (WIDTH - 0.6) / n_columns - 0.05)
    titles = [
        f"{_wrapped(label, int(16 * side))}\n{_wrapped(dataset, int(16 * side))}"
        for label, dataset, _ in matrices
    ]
    n_lines = sum(
        max(map(_n_lines, titles[first : first + n_columns]))
        for first in range(0, len(titles), n_columns)
    )
    spare = 0.35 * (n_rows * n_columns > len(matrices))
    height = n_rows * (side + 0.1) + n_lines * LINE + spare + 0.95
    figure = _figure(height, layout="compressed")
    grid = figure.subplots(n_rows, n_columns, sharey=True, squeeze=False)
    panels = list(grid.flat[: len(matrices)])
    for k, (axes, title, (_, _, counts)) in enumerate(zip(panels, titles, matrices, strict=True)):
        _plot_confusion(axes, counts)
        axes.set_title(title, fontsize=TEXT)
        is_last = k + n_columns >= len(matrices)
        axes.tick_params(labelbottom=is_last)
        axes.set_xlabel("predicted" * is_last, fontsize=TEXT)
    for axes in grid.flat[len(matrices) :]:
        axes.remove()
    for axes in grid[:, 0]:
        axes.set_ylabel("true", fontsize=TEXT)
    n_wide = min(n_columns, 3)
    bar = figure.colorbar(
        panels[0].images[0],
        ax=panels,
        location="bottom",
        shrink=n_wide / n_columns,
        aspect=15 * n_wide,
        pad=0.02,
    )
    bar.ax.tick_params(labelsize=TEXT)
    bar.set_label("share of clips of the true quadrant, in %", fontsize=TEXT)
    return _with_fixed_layout(figure)


def learning_curves(epochs: pd.DataFrame) -> Figure:
    """Plot loss and accuracy over epochs: median over folds that have not stopped, 10–90 % band.

    Epochs that fewer than half of the folds reach are shaded, because their median represents only
    the longest trainings. Long curves are subsampled; the first and the last epoch are kept.

    Parameters
    ----------
    epochs : one row per fold and epoch, at least one

        - ``label`` : method and setting
        - ``stage`` : network, empty if the method has only one; each has a row of panels
        - ``split`` : the fold
        - ``epoch`` : from 1
        - ``train_loss``, ``train_accuracy``, ``test_loss``, ``test_accuracy`` : after the epoch,
          accuracies 0 to 1; missing if not measured. A network without any accuracy,
          such as an autoencoder, has only a panel for its loss
    """
    networks = list(epochs.groupby(["label", "stage"], sort=False))
    most = int(np.clip(MOST_EPOCHS / len(networks), 30, 160))
    figure = _figure(1.4 * len(networks) + 0.5)
    grid = figure.subplots(len(networks), 2, squeeze=False)
    for ((label, stage), rows), (loss, accuracy) in zip(networks, grid, strict=True):
        name = f"{label}: {stage}" if stage else str(label)
        loss.set_title(_wrapped(name, 90), fontsize=TEXT, loc="left")
        _plot_epochs(loss, rows, "loss", most)
        if rows["train_accuracy"].isna().all():
            accuracy.set_axis_off()
        else:
            _plot_epochs(accuracy, rows, "accuracy", most)
            accuracy.axhline(CHANCE, color=GREY, ls=":", lw=1)
            accuracy.set(ylim=(0, 104), yticks=(0, 50, 100))
        loss.set_ylim(0, 1.05 * loss.get_ylim()[1])
        loss.yaxis.set_major_locator(MaxNLocator(4))
    for axes in grid[-1]:
        axes.set_xlabel("epoch", fontsize=TEXT)
    handles = [
        Line2D([], [], color=BLUE, lw=1.4, label="train, median"),
        Line2D([], [], color=VERMILION, lw=1.4, ls="--", label="test, median"),
        Patch(facecolor=GREY, alpha=0.3, label="10–90 % of folds"),
        Patch(facecolor=PALE, hatch="////", edgecolor="white", label="less than half of the folds"),
        _chance(),
    ]
    measured = epochs[["test_loss", "test_accuracy"]].notna().any(axis=None)
    _legend(figure, handles if measured else handles[:1] + handles[2:])
    return _with_fixed_layout(figure)


def dataset_slopes(scores: pd.DataFrame, datasets: Sequence[str]) -> Figure:
    """Plot mean scores over datasets, a line for each label with at least two datasets.

    Parameters
    ----------
    scores : one row per label and dataset

        - ``label`` : method and setting
        - ``dataset`` : title; rows of other datasets are ignored
        - ``mean`` : macro F1, 0 to 1
        - ``low``, ``high`` : interval of the mean, NaN if there is none
    datasets : titles, from left to right
    """
    known = scores[scores["dataset"].isin(datasets)].dropna(subset="mean")
    labels = [label for label in _ranked(known, "mean") if (known["label"] == label).sum() > 1]
    names = [_wrapped(label, 36) for label in labels]
    sizes = np.array([LINE * _n_lines(name) + 0.04 for name in names])
    height = max(3.0, sizes.sum())
    figure = _figure(height + 0.6)
    axes = figure.subplots()
    _style_axes(axes, grid="y")
    axes.set_xticks(range(len(datasets)), [_wrapped(dataset, 20) for dataset in datasets])
    axes.set_xlim(-0.25, len(datasets) - 0.75)
    axes.set_ylabel("macro F1 in %", fontsize=TEXT)
    shifts = np.linspace(-0.12, 0.12, len(labels)) if len(labels) > 1 else np.zeros(len(labels))
    ends = [
        _plot_slope(axes, known[known["label"] == label], datasets, position=k, shift=shifts[k])
        for k, label in enumerate(labels)
    ]
    bottom, top = axes.get_ylim()
    axes.set_ylim(bottom, top)
    wanted = np.array([y for _, y in ends])
    places = _spread(wanted, sizes / height * (top - bottom), low=bottom, high=top)
    for name, end, place in zip(names, ends, places, strict=True):
        axes.annotate(
            name,
            end,
            (1.05, place),
            textcoords=axes.get_yaxis_transform(),
            arrowprops=_leader(0),
            fontsize=TEXT,
            va="center",
        )
    return _with_fixed_layout(figure)


def hardest_clips(clips: pd.DataFrame, n_named: int = 12) -> Figure:
    """Plot the mean predicted positions of clips on Russell's plane, with names of the hardest.

    Parameters
    ----------
    clips : one row per clip; rows with missing numbers are ignored

        - ``clip`` : id
        - ``quadrant`` : the true one, Q1 to Q4
        - ``share_wrong`` : share of wrong predictions, 0 to 1
        - ``valence``, ``arousal`` : mean predicted position, -1 to 1
        - ``description`` : further facts for the hint of the clip's point, empty if unknown
    n_named : number of clips with a name
    """
    known = clips.dropna(subset=["share_wrong", "valence", "arousal"])
    hardest_first = known.sort_values(["share_wrong", "clip"], ascending=[False, True])
    hardest, others = hardest_first.iloc[:n_named], hardest_first.iloc[n_named:]
    names = [_shortened(str(clip)) for clip in hardest["clip"]]
    gutter = 0.35 + max((_text_width(name) for name in names), default=0)
    inch_a_unit = (WIDTH - 0.75) / 2 - gutter
    edge = 1 + gutter / inch_a_unit
    figure = _figure(2.25 * inch_a_unit + 0.9)
    axes = figure.subplots()
    _plot_plane(axes)
    axes.set(xlim=(-edge, edge), ylim=(-1.125, 1.125), aspect="equal")
    # The hardest are plotted last, so that others do not hide them
    _plot_clips(axes, others.iloc[::-1])
    _plot_clips(axes, hardest.iloc[::-1])
    easiest_first = known.sort_values("share_wrong", kind="stable")
    hints = [_clip_hint(clip) for _, clip in easiest_first.iterrows()]
    add_hints(axes, easiest_first["valence"], easiest_first["arousal"], hints)
    _name_clips(axes, hardest, names, size=(LINE + 0.01) / inch_a_unit)
    quadrants = [
        _mark(marker, colour, f"true {quadrant}")
        for quadrant, colour, marker in zip(
            QUADRANTS, QUADRANT_COLOURS, QUADRANT_MARKERS, strict=True
        )
    ]
    sizes = [
        _mark("o", GREY, f"{share:.0f} % wrong", size=math.sqrt(_area(np.array(share / 100))))
        for share in (0, 50, 100)
    ]
    _legend(figure, [*quadrants, *sizes], n_columns=7)
    return _with_fixed_layout(figure)


def verdict_matrix(pairs: pd.DataFrame) -> Figure:
    """Plot which of two methods is better, equivalent or worse, for all ordered pairs.

    The symbol of a cell is the most probable of the three, its colour the verdict. Labels are
    sorted by their probability to be better than the others.

    Parameters
    ----------
    pairs : one row per pair, at least one, as returned by ``compare_pairs``

        - ``first``, ``second`` : labels
        - ``p_better``, ``p_equivalent``, ``p_worse`` : probabilities that ``second`` is better than
          ``first``, within the region of practical equivalence, or worse; NaN for an empty cell
    """
    labels, chances = _both_ways(pairs)
    numbers = [str(k) for k in range(1, len(labels) + 1)]
    names = [
        _wrapped(f"{label}\N{NO-BREAK SPACE}\N{NO-BREAK SPACE}{number}", 34)
        for label, number in zip(labels, numbers, strict=True)
    ]
    room = WIDTH - 0.5 - max(_text_width(line) for name in names for line in name.split("\n"))
    width = min(0.6, room / len(labels))
    height = max(width, LINE * max(map(_n_lines, names)) + 0.06)
    figure = _figure(height * len(labels) + 0.9, layout="compressed")
    axes = figure.subplots()
    for row, column in np.ndindex(chances.shape[:2]):
        if np.isfinite(chances[row, column]).all():
            _plot_verdict(axes, chances[row, column], (column, row), with_number=width > 0.42)
            hint = _verdict_hint(labels[row], labels[column], chances[row, column])
            add_hints(axes, [column], [row], [hint], radius=10)
    ends = (-0.52, len(labels) - 0.48)
    axes.set(xlim=ends, ylim=ends[::-1], aspect=height / width)
    axes.set_xticks(range(len(labels)), numbers)
    axes.set_yticks(range(len(labels)), names)
    axes.tick_params(length=0, labelsize=TEXT, labeltop=True, labelbottom=False)
    axes.spines[:].set_visible(False)
    patches = [Patch(facecolor=colour, edgecolor=DARK, label=name) for name, colour in VERDICTS]
    _legend(figure, patches, title="The row's method, compared with the column's, is")
    return _with_fixed_layout(figure)


def _figure(
    height: float, *, layout: Literal["constrained", "compressed"] = "constrained"
) -> Figure:
    return Figure(figsize=(WIDTH, height), dpi=DPI, layout=layout)


def _with_fixed_layout(figure: Figure) -> Figure:
    """Fix the layout, which would otherwise change with every file that is saved."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    return figure


def _style_axes(axes: Axes, *, grid: Literal["both", "x", "y"]) -> None:
    axes.tick_params(labelsize=TEXT, length=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=PALE, lw=0.6)
    axes.set_axisbelow(True)


def _legend(
    figure: Figure, handles: Sequence[Artist], *, n_columns: int = 5, title: str = ""
) -> None:
    figure.legend(
        handles=list(handles),
        loc="outside lower center",
        ncols=min(len(handles), n_columns),
        title=title or None,
        title_fontsize=TEXT,
        fontsize=TEXT,
        frameon=False,
        columnspacing=1.2,
        handletextpad=0.5,
    )


def _mark(marker: str, colour: str, label: str, *, size: float = 5) -> Line2D:
    return Line2D(
        [], [], ls="none", marker=marker, color=colour, ms=size, markeredgewidth=0, label=label
    )


def _diamond(label: str) -> Line2D:
    return Line2D([], [], label=label, **DIAMOND)


def _chance() -> Line2D:
    return Line2D([], [], color=GREY, ls=":", lw=1, label=f"chance, {CHANCE:.0f} %")


def _ranked(frame: pd.DataFrame, column: str) -> list[str]:
    """Sort labels by the mean over their datasets, best first, those without a score last."""
    by_dataset = frame.groupby(["label", "dataset"], sort=False)[column].mean()
    means = by_dataset.groupby("label", sort=False).mean()
    return [str(label) for label in means.sort_values(ascending=False, kind="stable").index]


def _grid(n_panels: int, *, most: int) -> tuple[int, int]:
    """Return numbers of rows and columns with the fewest empty panels."""
    n_rows = math.ceil(n_panels / most)
    return n_rows, math.ceil(n_panels / n_rows)


def _wrapped(text: object, width: int) -> str:
    """Wrap a text at spaces, but not before a unit; dollar signs are escaped."""
    words = re.sub(r"(?<=\d) (?=s\b)", "\N{NO-BREAK SPACE}", str(text)).replace("$", r"\$")
    return textwrap.fill(words, width)


def _n_lines(text: str) -> int:
    return 1 + text.count("\n")


def _shortened(name: str) -> str:
    """Remove the middle of a long name."""
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME // 2]}…{name[1 - LONGEST_NAME // 2 :]}"
    return name.replace("$", r"\$")


def _text_width(text: str) -> float:
    """Return the width of a line of text [inch]."""
    return float(TextPath((0, 0), text, size=TEXT).get_extents().width) / 72


def _spread(wanted: Numbers, sizes: Numbers, *, low: float, high: float) -> Numbers:
    """Separate names with the least squared displacement, and keep their order."""
    from scipy.optimize import isotonic_regression

    placed = np.empty(len(wanted))
    if len(wanted):
        order = np.argsort(wanted, kind="stable")
        middles = np.cumsum(sizes[order]) - sizes[order] / 2
        free = isotonic_regression(wanted[order] - middles).x
        placed[order] = np.clip(free, low, high - sizes.sum()) + middles
    return placed


def _leader(start: float) -> dict[str, Any]:
    """Return the style of a line from a name's left (0) or right end (1) to its point."""
    return {
        "arrowstyle": "-",
        "color": GREY,
        "lw": 0.7,
        "ls": ":",
        "shrinkA": 1,
        "shrinkB": 3,
        "relpos": (start, 0.5),
    }


def _panels(
    labels: Sequence[str], datasets: Sequence[str], measure: str
) -> tuple[Figure, dict[str, Axes], dict[str, float]]:
    """Return figure, panels by dataset, and the position of each label [inch from the top]."""
    names = [_wrapped(label, 28) for label in labels]
    lines = np.array([LINE * _n_lines(name) + 0.06 for name in names])
    heights = np.cumsum(lines) - lines / 2
    n_rows, n_columns = _grid(len(datasets), most=3)
    figure = _figure(n_rows * (lines.sum() + 0.75) + 0.35)
    grid = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False)
    panels = dict(zip(datasets, grid.flat, strict=False))
    for dataset, axes in panels.items():
        _style_axes(axes, grid="both")
        axes.set_title(_wrapped(dataset, 75 // n_columns), fontsize=TEXT)
        axes.axvline(CHANCE, color=GREY, ls=":", lw=1)
        axes.xaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), integer=True))
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(measure, fontsize=TEXT)
    for axes in grid.flat[len(datasets) :]:
        axes.remove()
    grid[0, 0].set_yticks(heights, names)
    grid[0, 0].set_ylim(lines.sum(), 0)
    return figure, panels, dict(zip(labels, heights, strict=True))


def _plot_scores(axes: Axes, scores: pd.DataFrame, heights: Mapping[str, float]) -> None:
    places = scores["label"].map(heights)
    mean, low, high, published = (
        100 * scores[column].astype(np.float64) for column in ("mean", "low", "high", "published")
    )
    axes.hlines(places, low, high, color=BLUE, lw=1.4)
    axes.plot(mean, places, "o", color=BLUE, ms=5, markeredgewidth=0, label="mean")
    axes.plot(published, places, label="published", **DIAMOND)
    hints = [_score_hint(row) for _, row in scores.iterrows()]
    add_hints(axes, mean, places, hints)
    has_published = published.notna()
    words = [f"published: {value:.2f} %" for value in published[has_published]]
    add_hints(axes, published[has_published], places[has_published], words)


def _score_hint(score: pd.Series[Any]) -> str:
    mean, low, high = (100 * score[name] for name in ("mean", "low", "high"))
    interval = "" if math.isnan(low) else f" [{low:.1f}, {high:.1f}]"
    return f"{score['label']}, {score['dataset']}: {mean:.2f} %{interval}"


def _clip_hint(clip: pd.Series[Any]) -> str:
    facts = " – ".join(filter(None, (str(clip["clip"]), clip["description"])))
    return (
        f"{facts}: true {clip['quadrant']}, {100 * clip['share_wrong']:.0f} % wrong, "
        f"valence {clip['valence']:+.2f}, arousal {clip['arousal']:+.2f}"
    )


def _plot_folds(axes: Axes, folds: pd.DataFrame, heights: Mapping[str, float]) -> None:
    scores, numbers = 100 * folds["f1_macro"], folds.groupby("label").cumcount()
    # Multiples of the golden ratio spread evenly, and are reproducible
    shifts = THICKNESS * (numbers * GOLDEN % 1 - 0.5)
    places = folds["label"].map(heights) + shifts
    axes.scatter(scores, places, s=4, color=SKY, linewidths=0, rasterized=True, label="fold")
    hints = [f"{split}: {score:.1f} %" for split, score in zip(folds["split"], scores, strict=True)]
    add_hints(axes, scores, places, hints, radius=1.5)
    boxes = scores.groupby(folds["label"]).quantile(np.linspace(0, 1, 5)).unstack()
    lines = np.array([heights[str(label)] for label in boxes.index])
    lowest, lower, median, upper, highest = boxes.to_numpy().T
    axes.hlines([lines, lines], [lowest, upper], [lower, highest], color=BLACK, lw=0.8)
    axes.barh(lines, upper - lower, THICKNESS, lower, fc="none", ec=BLACK, lw=0.8)
    ends = lines - THICKNESS / 2, lines + THICKNESS / 2
    axes.vlines(median, *ends, color=BLACK, lw=2.4, label="median")


def _plot_confusion(axes: Axes, counts: pd.DataFrame) -> None:
    table = counts.loc[list(QUADRANTS), list(QUADRANTS)].to_numpy(dtype=np.float64)
    totals = table.sum(axis=1, keepdims=True)
    shares = 100 * np.divide(table, totals, out=np.full_like(table, np.nan), where=totals > 0)
    colours = colormaps["cividis"]
    axes.imshow(shares, cmap=colours, vmin=0, vmax=100, interpolation="nearest")
    for row, column in np.ndindex(shares.shape):
        share = shares[row, column]
        known = not math.isnan(share)
        axes.text(
            column,
            row,
            f"{share:.0f}" if known else "–",
            color=_text_colour(colours(share / 100)[:3]) if known else BLACK,
            fontsize=TEXT,
            ha="center",
            va="center",
        )
    rows, columns = (each.ravel() for each in np.indices(table.shape))
    hints = [
        f"true {QUADRANTS[row]}, predicted {QUADRANTS[column]}: {table[row, column]:.0f} of "
        f"{totals[row, 0]:.0f} predictions"
        for row, column in zip(rows, columns, strict=True)
    ]
    add_hints(axes, columns, rows, hints, radius=10)
    axes.set_xticks(range(len(QUADRANTS)), QUADRANTS)
    axes.set_yticks(range(len(QUADRANTS)), QUADRANTS)
    axes.tick_params(labelsize=TEXT, length=0)
    axes.spines[:].set_visible(False)


def _text_colour(colour: tuple[float, float, float]) -> str:
    """Return nearly black or white, whichever has more contrast; a dark page does not change it."""
    light = np.asarray(colour, dtype=np.float64)
    luminance = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    is_light = luminance @ np.array([0.2126, 0.7152, 0.0722]) > 0.179
    return INK_ON_COLOUR if is_light else PAPER_ON_COLOUR


def _plot_epochs(axes: Axes, rows: pd.DataFrame, measure: str, most: int) -> None:
    _style_axes(axes, grid="y")
    axes.set_ylabel(measure + " in %" * (measure == "accuracy"), fontsize=TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))
    n_training = rows.groupby("epoch")["split"].nunique()
    few = n_training.index[2 * n_training < rows["split"].nunique()]
    if len(few):
        axes.axvspan(few[0] - 0.5, few[-1] + 0.5, fc=PALE, hatch="////", ec="white", lw=0, zorder=0)
    for side, colour, dashes in (("train", BLUE, "-"), ("test", VERMILION, "--")):
        values = rows[f"{side}_{measure}"].astype(np.float64)
        if values.notna().any():
            scaled = values * (100 if measure == "accuracy" else 1)
            bands = scaled.groupby(rows["epoch"]).quantile(np.array([0.1, 0.5, 0.9])).unstack()
            kept = np.linspace(0, len(bands) - 1, min(len(bands), most)).round().astype(np.int64)
            _plot_band(axes, bands.iloc[kept], colour=colour, dashes=dashes, label=side)


def _plot_band(axes: Axes, bands: pd.DataFrame, *, colour: str, dashes: str, label: str) -> None:
    low, median, high = bands.to_numpy().T
    axes.fill_between(bands.index, low, high, color=colour, alpha=0.2, lw=0)
    marker = "o" if np.isfinite(median).sum() == 1 else ""
    axes.plot(
        bands.index, median, color=colour, ls=dashes, lw=1.4, marker=marker, ms=4, label=label
    )


def _plot_slope(
    axes: Axes, scores: pd.DataFrame, datasets: Sequence[str], *, position: int, shift: float
) -> tuple[float, float]:
    """Plot one label's scores and return the last point."""
    places = scores["dataset"].map(list(datasets).index).to_numpy() + shift
    values = 100 * scores[["mean", "low", "high"]].to_numpy(dtype=np.float64)
    order = np.argsort(places)
    places, (mean, low, high) = places[order], values[order].T
    hints = [_score_hint(row) for _, row in scores.iloc[order].iterrows()]
    add_hints(axes, places, mean, hints)
    colour = COLOURS[position % len(COLOURS)]
    axes.vlines(places, low, high, color=colour, lw=0.8, alpha=0.6)
    axes.plot(
        places,
        mean,
        color=colour,
        ls=DASHES[position // len(COLOURS) % len(DASHES)],
        lw=1.2,
        marker=MARKERS[position % len(MARKERS)],
        ms=4.5,
        label=scores["label"].iloc[0],
    )
    return float(places[-1]), float(mean[-1])


def _plot_plane(axes: Axes) -> None:
    axes.tick_params(labelsize=TEXT, length=0)
    axes.spines[:].set_visible(False)
    axes.add_patch(Rectangle((-1, -1), 2, 2, fc="none", ec=DARK, lw=0.8))
    axes.plot([-1, 1], [0, 0], [0, 0], [-1, 1], color=DARK, lw=0.8, zorder=0.5)
    for quadrant, mood, (valence, arousal) in zip(QUADRANTS, MOODS, CORNERS, strict=True):
        axes.text(
            valence,
            1.03 * arousal,
            f"{quadrant}: {mood}",
            fontsize=TEXT,
            ha="right" if valence > 0 else "left",
            va="bottom" if arousal > 0 else "top",
        )
    axes.set_xticks([-1, -0.5, 0, 0.5, 1])
    axes.set_yticks([-1, -0.5, 0, 0.5, 1])
    axes.set_xlabel("valence, mean of the predictions", fontsize=TEXT)
    axes.set_ylabel("arousal, mean of the predictions", fontsize=TEXT)


def _plot_clips(axes: Axes, clips: pd.DataFrame) -> None:
    for quadrant, colour, marker in zip(QUADRANTS, QUADRANT_COLOURS, QUADRANT_MARKERS, strict=True):
        rows = clips[clips["quadrant"] == quadrant]
        axes.scatter(
            rows["valence"],
            rows["arousal"],
            s=_area(rows["share_wrong"].to_numpy(dtype=np.float64)),
            color=colour,
            marker=marker,
            edgecolors="white",
            linewidths=0.4,
            rasterized=True,
            label=quadrant,
        )


def _area(share_wrong: Numbers) -> Numbers:
    """Return the area of a clip's mark [square point]."""
    return 5 + 45 * share_wrong


def _name_clips(axes: Axes, clips: pd.DataFrame, names: Sequence[str], *, size: float) -> None:
    """Write names beside the plane, half of them on each side."""
    points = clips[["valence", "arousal"]].to_numpy(dtype=np.float64)
    axes.plot(*points.T, "o", ms=9, mfc="none", color=BLACK, markeredgewidth=0.8, label="named")
    by_valence = np.argsort(points[:, 0], kind="stable")
    half = len(points) // 2
    for side, of_side in ((-1, by_valence[:half]), (1, by_valence[half:])):
        sizes = np.full(len(of_side), size)
        heights = _spread(points[of_side, 1], sizes, low=-1, high=1)
        for k, height in zip(of_side, heights, strict=True):
            axes.annotate(
                names[k],
                points[k],
                (1.12 * side, height),
                arrowprops=_leader((1 - side) / 2),
                fontsize=TEXT,
                ha="right" if side < 0 else "left",
                va="center",
            )


def _both_ways(pairs: pd.DataFrame) -> tuple[list[str], Numbers]:
    """Return labels, best first, and probabilities of rows against columns [shape=(n, n, 3)]."""
    labels = list(dict.fromkeys([*pairs["first"], *pairs["second"]]))
    chances = np.full((len(labels), len(labels), 3), np.nan)
    rows, columns = (pairs[side].map(labels.index).to_numpy() for side in ("first", "second"))
    values = pairs[["p_better", "p_equivalent", "p_worse"]].to_numpy(dtype=np.float64)
    chances[rows, columns], chances[columns, rows] = values[:, ::-1], values
    lead = chances[..., 0] - chances[..., 2]
    n_compared = np.maximum(np.isfinite(lead).sum(axis=1), 1)
    order = np.argsort(-np.nansum(lead, axis=1) / n_compared, kind="stable")
    return [labels[k] for k in order], chances[np.ix_(order, order)]


def _verdict_hint(label: str, other: str, chances: Numbers) -> str:
    better, equivalent, worse = 100 * chances
    return (
        f"{label}, against {other}: better {better:.1f} %, equivalent {equivalent:.1f} %, "
        f"worse {worse:.1f} %"
    )


def _plot_verdict(
    axes: Axes, chances: Numbers, place: tuple[int, int], *, with_number: bool
) -> None:
    kind, largest = int(chances.argmax()), float(chances.max())
    colour = VERDICTS[kind if largest >= DECIDED else -1][1]
    corner = (place[0] - 0.5, place[1] - 0.5)
    axes.add_patch(Rectangle(corner, 1, 1, fc=colour, ec=GREY, lw=0.4))
    # Rounded down, so that 94.9 % does not look like a verdict
    number = f" {math.floor(100 * largest + 1e-9)}" * with_number
    axes.text(
        *place,
        SIGNS[kind] + number,
        color=BLACK if colour in NEUTRAL else _text_colour(to_rgb(colour)),
        fontsize=TEXT,
        ha="center",
        va="center",
    )
