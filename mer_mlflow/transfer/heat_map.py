"""Heat map of a transfer matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from mer_mlflow.crossval.metrics import HIGH_AROUSAL
from mer_mlflow.transfer.matrix import SCORES

TITLES = {
    "f1_macro": "macro F1",
    "arousal_accuracy": "arousal, accuracy",
    "valence_accuracy": "valence, accuracy",
}
CHANCE = {"f1_macro": 1 / len(HIGH_AROUSAL), "arousal_accuracy": 0.5, "valence_accuracy": 0.5}
"""Lower ends of the colour scales."""


def heat_map(table: pd.DataFrame) -> Figure:
    """Plot a panel for each score, with both intervals in each cell.

    Parameters
    ----------
    table : from :func:`mer_mlflow.transfer.matrix.matrix_table`
    """
    rows = list(dict.fromkeys(zip(table["method"], table["train"], strict=True)))
    columns = list(dict.fromkeys(table["test"]))
    width, height = 1.9 * len(columns) + 1.6, 0.95 * len(rows) + 1.3
    figure = Figure(figsize=(max(width, 5.2), height * len(SCORES)), layout="constrained")
    panels = figure.subplots(len(SCORES), 1, squeeze=False)[:, 0]
    for axes, score in zip(panels, SCORES, strict=True):
        _panel(figure, axes, table[table["score"] == score], score, rows, columns)
    return figure


def _panel(
    figure: Figure,
    axes: Axes,
    table: pd.DataFrame,
    score: str,
    rows: list[tuple[str, str]],
    columns: list[str],
) -> None:
    values: dict[tuple[int, int], Mapping[Any, Any]] = {
        (rows.index((row["method"], row["train"])), columns.index(row["test"])): row
        for row in table.to_dict("records")
    }
    shown = np.full((len(rows), len(columns)), np.nan)
    for place, row in values.items():
        shown[place] = row["mean"]
    image = axes.imshow(shown, cmap="cividis", vmin=CHANCE[score], vmax=1, aspect="auto")
    for (i, k), row in values.items():
        mean, middle = row["mean"], CHANCE[score] + 0.55 * (1 - CHANCE[score])
        own = " (own folds)" if row["train"] == row["test"] else ""
        axes.text(
            k,
            i,
            f"{100 * mean:.1f}{own}\n{_intervals(row)}",
            ha="center",
            va="center",
            color="black" if mean > middle else "white",
            fontsize=8,
        )
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), [f"{method}\n{train}" for method, train in rows])
    axes.set(xlabel="tested on", ylabel="trained on", title=f"{TITLES[score]}, in per cent")
    figure.colorbar(image, ax=axes, format=lambda value, _: f"{100 * value:.0f}")


def _intervals(row: Mapping[Any, Any]) -> str:
    limits = ((name, row[f"{name}_low"], row[f"{name}_high"]) for name in ("folds", "songs"))
    return "\n".join(
        f"{name} {100 * max(low, 0):.1f}–{100 * min(high, 1):.1f}"
        for name, low, high in limits
        if low == low
    )
