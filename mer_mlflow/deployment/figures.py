"""Figure of a prediction: path on Russell's plane, and probabilities over time.

References
----------
J. A. Russell, "A circumplex model of affect", Journal of Personality and Social Psychology 39(6),
1980.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.palette import GREY, QUADRANT_COLOURS

CORNERS = {"Q1": (1.0, 1.0), "Q2": (-1.0, 1.0), "Q3": (-1.0, -1.0), "Q4": (1.0, -1.0)}
"""Valence and arousal of each quadrant's corner of the plane."""
LIMIT = 1.05


def boundaries(timeline: pd.DataFrame) -> NDArray[np.float64]:
    """Return times that divide a song among its windows, which overlap.

    Parameters
    ----------
    timeline : one row per window with its ``start`` and ``end`` [s]

    Returns
    -------
    start of the song, times halfway between the centres of adjacent windows, and end of the song
    [s] [shape=(n_windows + 1,)]
    """
    centres = (timeline["start"] + timeline["end"]).to_numpy(dtype=np.float64) / 2
    inner = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[0.0], inner, [float(timeline["end"].max())]])


def plot_prediction(timeline: pd.DataFrame, *, title: str) -> Figure:
    """Plot a song's path on Russell's plane, and the probability of each quadrant over time.

    Parameters
    ----------
    timeline : one row per window, as of :class:`mer_mlflow.deployment.EmotionPrediction`
    title : title of the figure

    Returns
    -------
    matplotlib figure, which is not registered with pyplot
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    plane, probabilities = figure.subplots(1, 2, width_ratios=(2, 3))
    figure.suptitle(title, parse_math=False)
    _draw_plane(plane, timeline)
    _draw_probabilities(probabilities, timeline)
    return figure


def _draw_plane(axes: Axes, timeline: pd.DataFrame) -> None:
    for quadrant, colour in zip(QUADRANTS, QUADRANT_COLOURS, strict=True):
        x, y = CORNERS[quadrant]
        axes.fill_between([0, x * LIMIT], 0, y * LIMIT, color=colour, alpha=0.12, lw=0)
        axes.text(0.5 * x, 0.5 * y, quadrant, ha="center", va="center", color=colour, weight=700)
    valence, arousal = timeline["valence"], timeline["arousal"]
    axes.plot(valence, arousal, color=GREY, lw=1)
    axes.scatter(valence, arousal, c=_colours(timeline), s=36, edgecolors="white", zorder=3)
    for i, word in ((0, "start"), (len(timeline) - 1, "end"))[: len(timeline)]:
        place = (valence.iloc[i], arousal.iloc[i])
        offset = (6 if place[0] < 0.6 else -26, 6 if place[1] < 0.8 else -14)
        axes.annotate(word, place, xytext=offset, textcoords="offset points", fontsize=8)
    axes.axhline(0, color=GREY, lw=0.8)
    axes.axvline(0, color=GREY, lw=0.8)
    axes.set(xlim=(-LIMIT, LIMIT), ylim=(-LIMIT, LIMIT), xlabel="valence", ylabel="arousal")
    axes.set_aspect("equal")


def _draw_probabilities(axes: Axes, timeline: pd.DataFrame) -> None:
    edges = boundaries(timeline)
    values = timeline[list(QUADRANTS)].to_numpy()
    below = np.zeros(len(timeline))
    for quadrant, colour, share in zip(QUADRANTS, QUADRANT_COLOURS, values.T, strict=True):
        axes.stairs(below + share, edges, baseline=below, fill=True, color=colour, label=quadrant)
        below = below + share
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1), xlabel="seconds", ylabel="probability")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=4, frameon=False)


def _colours(timeline: pd.DataFrame) -> list[str]:
    colours = dict(zip(QUADRANTS, QUADRANT_COLOURS, strict=True))
    return [colours[quadrant] for quadrant in timeline["quadrant"]]
