"""Figure of an explanation over waveform and mel spectrogram, readable without colour vision.

Times, frequencies and drops are aligned: below the spectrogram are the drops of the stretches,
beside it those of the bands, on one scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from mer_mlflow.deployment.explanation import Explanation
from mer_mlflow.librosa_import import import_librosa
from mer_mlflow.palette import BLUE, GREY, VERMILION
from mer_mlflow.representations import Mel

SR = 22_050
LOWEST_HZ = 50.0
"""Lower limit of the axis of frequencies, which is logarithmic."""
LEAST_POINTS = 5.0
"""Minimum extent of the scale of drops [percentage points], so that a flat explanation is flat."""
BESIDE = {"mel": "bands", "map": "scale"}
"""Panel beside another one."""
N_COLUMNS = 1500
"""Columns of the waveform, each from its lowest to its highest sample."""


def explanation_figure(explanation: Explanation) -> Figure:
    """Plot an explanation."""
    heights = {"wave": 1.0, "mel": 3.0, "seconds": 1.5}
    heights |= {"map": 3.0} if explanation.map is not None else {}
    heights |= {"groups": 1.9} if explanation.groups is not None else {}
    figure = Figure(figsize=(10, 1.2 + 1.1 * sum(heights.values())), layout="constrained")
    axes = figure.subplot_mosaic(
        [[name, BESIDE.get(name, ".")] for name in heights],
        height_ratios=list(heights.values()),
        width_ratios=(4, 1.2),
    )
    figure.suptitle(
        f"{explanation.song}: {explanation.quadrant} {explanation.probability:.1%}",
        parse_math=False,
    )
    limits = _limits(explanation)
    _plot_wave(axes["wave"], explanation)
    _plot_mel(axes["mel"], explanation)
    _plot_seconds(axes["seconds"], explanation, limits)
    _plot_bands(axes["bands"], explanation, limits)
    if explanation.map is not None:
        _plot_map(axes["map"], axes["scale"], explanation.map)
    if explanation.groups is not None:
        _plot_groups(axes["groups"], explanation.groups, base=explanation.base or 0.0)
    over_time = [axes[name] for name in heights if name != "groups"]
    for each in over_time:
        each.set_xlim(explanation.start, explanation.end)
        each.tick_params(labelbottom=each is over_time[-1])
    over_time[-1].set_xlabel("seconds")
    return figure


def _limits(explanation: Explanation) -> tuple[float, float]:
    drops = 100.0 * pd.concat([explanation.seconds["drop"], explanation.bands["drop"]])
    low, high = min(drops.min(), 0.0), max(drops.max(), LEAST_POINTS)
    margin = 0.08 * (high - low)
    return low - margin * (low < 0), high + margin


def _plot_wave(axes: Axes, explanation: Explanation) -> None:
    audio = explanation.audio
    n_samples = round((explanation.end - explanation.start) * audio.sr)
    parts = np.array_split(audio.samples[:n_samples], min(N_COLUMNS, n_samples))
    time = np.linspace(explanation.start, explanation.end, len(parts))
    lows, highs = [part.min() for part in parts], [part.max() for part in parts]
    axes.fill_between(time, lows, highs, color="black", lw=0)
    rows = explanation.seconds[["start", "end", "drop"]].to_numpy(np.float64)
    strongest = max(float(np.abs(rows[:, 2]).max()), LEAST_POINTS / 100.0)
    for start, end, drop in rows:
        shade = 0.6 * abs(drop) / strongest
        axes.axvspan(start, end, color=_colours([drop])[0], alpha=shade, lw=0)
    axes.set(ylabel="waveform", yticks=[])


def _plot_mel(axes: Axes, explanation: Explanation) -> None:
    librosa = import_librosa()

    seconds = explanation.end - explanation.start
    mel = Mel(sr=min(SR, explanation.audio.sr), duration=seconds)
    values = mel.compute(explanation.audio)
    hz = librosa.mel_frequencies(n_mels=mel.n_mels + 1, fmax=mel.sr / 2)
    time = explanation.start + np.arange(values.shape[1] + 1) * mel.hop_length / mel.sr
    axes.pcolormesh(time, hz, values, cmap="magma", rasterized=True)
    for stretch in explanation.seconds["start"][1:]:
        axes.axvline(stretch, color="white", lw=0.4, alpha=0.5)
    for edge in explanation.bands["low"][1:]:
        axes.axhline(edge, color="white", lw=0.4, alpha=0.5)
    _scale_frequencies(axes, explanation.bands, highest=mel.sr / 2)
    axes.set_ylabel("mel, Hz")


def _scale_frequencies(axes: Axes, bands: pd.DataFrame, *, highest: float) -> None:
    axes.set_yscale("log")
    axes.set_ylim(LOWEST_HZ, highest)
    edges = [edge for edge in bands["low"] if edge > LOWEST_HZ]
    axes.yaxis.set_major_locator(FixedLocator(edges[:: 1 + len(edges) // 9]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda hz, _: f"{hz:.0f}"))


def _plot_seconds(axes: Axes, explanation: Explanation, limits: tuple[float, float]) -> None:
    table = explanation.seconds
    widths = table["end"] - table["start"]
    drops = 100.0 * table["drop"]
    axes.bar(table["start"], drops, widths, align="edge", color=_colours(drops), ec="white", lw=0.5)
    axes.axhline(0.0, color=GREY, lw=0.8)
    axes.set(ylabel="drop without\nit, points", ylim=limits)


def _plot_bands(axes: Axes, explanation: Explanation, limits: tuple[float, float]) -> None:
    table = explanation.bands
    highest = min(SR, explanation.audio.sr) / 2
    drops = 100.0 * table["drop"]
    lows = np.maximum(table["low"], LOWEST_HZ)
    heights = np.minimum(table["high"], highest) - lows
    axes.barh(
        lows, drops, np.maximum(heights, 0.0), align="edge", color=_colours(drops), ec="white"
    )
    axes.axvline(0.0, color=GREY, lw=0.8)
    _scale_frequencies(axes, table, highest=highest)
    axes.tick_params(left=False, labelleft=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set(xlabel="drop without it, points", xlim=limits)


def _plot_map(axes: Axes, scale: Axes, table: pd.DataFrame) -> None:
    drops = 100.0 * table.pivot(index="low", columns="start", values="drop").to_numpy()
    time = [*table["start"].unique(), table["end"].max()]
    hz = [LOWEST_HZ, *table["low"].unique()[1:], table["high"].max()]
    spread = max(float(np.abs(drops).max()), LEAST_POINTS)
    image = axes.pcolormesh(time, hz, drops, cmap="PuOr_r", vmin=-spread, vmax=spread)
    bands = table.drop_duplicates("low")
    _scale_frequencies(axes, bands, highest=min(SR / 2, hz[-1]))
    axes.set_ylabel("band in a stretch, Hz")
    scale.set_axis_off()
    axes.figure.colorbar(image, ax=scale, location="left", fraction=0.6, label="drop, points")


def _plot_groups(axes: Axes, groups: pd.DataFrame, *, base: float) -> None:
    """Plot the values as steps from the mean probability of the background to that of the song."""
    values = 100.0 * groups["value"].to_numpy(dtype=np.float64)
    order = np.argsort(-np.abs(values), kind="stable")
    edges = 100.0 * base + np.concatenate([[0.0], np.cumsum(values[order])])
    axes.barh(range(len(order)), values[order], left=edges[:-1], color=_colours(values[order]))
    for row, (before, after) in enumerate(pairwise(edges)):
        axes.annotate(
            f"{round(after - before, 1) + 0.0:+.1f}",
            (max(before, after), row),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    axes.set_yticks(range(len(order)), [str(groups["group"][i]) for i in order])
    axes.invert_yaxis()
    margin = 0.08 * max(float(np.ptp(edges)), LEAST_POINTS)
    axes.set_xlim(edges.min() - margin, edges.max() + margin)
    for edge in (edges[0], edges[-1]):
        axes.axvline(edge, color=GREY, lw=0.8, ls=":")
    axes.set_xlabel("probability from the mean of training clips to the song, %")


def _colours(drops: Sequence[float] | NDArray[np.float64] | pd.Series) -> list[str]:
    return [VERMILION if drop > 0 else BLUE for drop in drops]
