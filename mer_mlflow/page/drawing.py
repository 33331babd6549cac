"""Drawings of the page as SVG: they follow the width and the colours of the page."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from mer_mlflow.datasets.clips import QUADRANTS
from mer_mlflow.deployment.figures import CORNERS, boundaries
from mer_mlflow.deployment.prediction import AROUSAL, VALENCE
from mer_mlflow.representations.audio import Audio

N_PEAKS = 600
"""Columns of the waveform."""
MOODS = ("happy, excited", "angry, frantic", "sad, melancholic", "calm, content")
LONGEST_STEP = 5
"""Maximum number of labels of the time axis."""
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1200)
"""Distances between labels of the time axis [s]."""
MOST_CLIPS = 1000
"""Maximum number of training clips on the plane."""


def peaks(audio: Audio) -> NDArray[np.float64]:
    """Return the envelope of a waveform.

    Returns
    -------
    largest absolute sample of each part, relative to the largest of all
    [shape=(min(n_samples, 600),)]
    """
    parts = np.array_split(np.abs(audio.samples), min(N_PEAKS, len(audio.samples)))
    found = np.array([part.max() for part in parts], dtype=np.float64)
    return np.asarray(found / max(found.max(), 1e-9))


def draw_timeline(timeline: pd.DataFrame, envelope: NDArray[np.float64]) -> str:
    """Draw the probability of each quadrant for each window, over the waveform.

    Parameters
    ----------
    timeline : one row per window, as of :class:`mer_mlflow.deployment.EmotionPrediction`
    envelope : see :func:`peaks`

    Returns
    -------
    HTML; the attribute ``data-seconds`` is the duration of the song [s]
    """
    edges = boundaries(timeline)
    bars = "".join(
        _column(row, left=left / edges[-1], right=right / edges[-1])
        for (_, row), left, right in zip(timeline.iterrows(), edges[:-1], edges[1:], strict=True)
    )
    labels = "".join(
        f'<span style="left:{100 * second / edges[-1]:.2f}%">{_clock(second)}</span>'
        for second in _ticks(edges[-1])
    )
    return (
        f'<div class="mer-timeline" data-seconds="{edges[-1]:.3f}" '
        'title="Click to play from here"><svg viewBox="0 0 1 1" preserveAspectRatio="none" '
        f'role="img" aria-label="Probabilities over time">{bars}{_wave(envelope)}</svg>'
        f'<div class="mer-cursor"></div></div><div class="mer-ticks">{labels}</div>'
    )


def draw_plane(timeline: pd.DataFrame, known: pd.DataFrame, names: Mapping[str, str]) -> str:
    """Draw a song's path on Russell's plane, among clips.

    Parameters
    ----------
    timeline : one row per window, as of :class:`mer_mlflow.deployment.EmotionPrediction`
    known : clips with the columns ``quadrant`` and probabilities; may be empty
    names : names of the nearest clips, by id; they are highlighted

    Returns
    -------
    SVG; the attributes ``data-start`` and ``data-end`` of windows are times in the song [s]
    """
    parts = [_corner(k) for k in range(len(QUADRANTS))]
    parts.append('<path class="mer-axis" d="M-1.05 0H1.05M0 -1.05V1.05"/>')
    parts.append('<text class="mer-label" x="1.04" y="-.03" text-anchor="end">valence</text>')
    parts.append('<text class="mer-label" x=".03" y="-.98">arousal</text>')
    parts += [_clip(str(clip), row, names) for clip, row in _order(known, names).iterrows()]
    places = [_place(row["valence"], row["arousal"]) for _, row in timeline.iterrows()]
    parts.append(f'<path class="mer-path" d="M{"L".join(places)}"/>')
    parts += _windows(timeline)
    return (
        '<svg class="mer-plane" viewBox="-1.1 -1.1 2.2 2.2" role="img" '
        f'aria-label="Path of the song on Russell\'s plane">{"".join(parts)}</svg>'
    )


def draw_bars(probabilities: Mapping[str, float]) -> str:
    """Draw probabilities as bars with numbers, in HTML; the title of a bar is the exact number."""
    rows = (
        f'<div class="mer-bar" title="{name}: {value:.9f}"><span>{name}</span>'
        f'<span class="mer-track"><span class="mer-{name}" style="width:{100 * value:.1f}%"></span>'
        f"</span><span>{value:.1%}</span></div>"
        for name, value in probabilities.items()
    )
    return "".join(rows)


def legend() -> str:
    """Return the meaning of the quadrants and their colours, in HTML."""
    items = (
        f'<span><i class="mer-{name}"></i>{name} {mood}</span>'
        for name, mood in zip(QUADRANTS, MOODS, strict=True)
    )
    return f'<div class="mer-legend">{"".join(items)}</div>'


def _column(row: pd.Series, *, left: float, right: float) -> str:
    top, parts = 0.0, []
    for name in reversed(QUADRANTS):
        parts.append(
            f'<rect class="mer-{name}" x="{left:.5f}" width="{right - left:.5f}" y="{top:.4f}" '
            f'height="{row[name]:.4f}"/>'
        )
        top += row[name]
    shares = ", ".join(f"{name} {row[name]:.0%}" for name in QUADRANTS)
    title = f"{_clock(row['start'])}–{_clock(row['end'])}: {shares}"
    return f"<g><title>{title}</title>{''.join(parts)}</g>"


def _wave(envelope: NDArray[np.float64]) -> str:
    x = (np.arange(len(envelope)) + 0.5) / len(envelope)
    upper = [f"{a:.4f} {0.5 - 0.48 * b:.3f}" for a, b in zip(x, envelope, strict=True)]
    lower = [f"{a:.4f} {0.5 + 0.48 * b:.3f}" for a, b in zip(x, envelope, strict=True)]
    return f'<path class="mer-wave" d="M{"L".join([*upper, *reversed(lower)])}Z"/>'


def _ticks(seconds: float) -> list[float]:
    step = next((step for step in STEPS if seconds / step <= LONGEST_STEP), seconds)
    return [float(tick) for tick in np.arange(0, 0.95 * seconds, step)]


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def _place(valence: float, arousal: float) -> str:
    return f"{valence:.4f} {-arousal:.4f}"


def _corner(k: int) -> str:
    x, y = CORNERS[QUADRANTS[k]]
    left, top = min(0, 1.05 * x), min(0, -1.05 * y)
    anchor = "end" if x > 0 else "start"
    return (
        f'<rect class="mer-{QUADRANTS[k]} mer-corner" x="{left}" y="{top}" width="1.05" '
        f'height="1.05"/><text class="mer-label" x="{1.02 * x}" y="{-0.5 * y:.2f}" '
        f'text-anchor="{anchor}">{QUADRANTS[k]} {MOODS[k]}</text>'
    )


def _order(known: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Return at most ``MOST_CLIPS`` clips, with the nearest ones last, that is in front."""
    if known.empty:
        return known
    is_near = known.index.isin(list(names))
    others = known[~is_near]
    step = -(-len(others) // MOST_CLIPS) or 1
    return pd.concat([others.iloc[::step], known[is_near]])


def _clip(clip: str, row: pd.Series, names: Mapping[str, str]) -> str:
    shares = row[list(QUADRANTS)].to_numpy(dtype=np.float64)
    x, y = float(VALENCE @ shares), float(AROUSAL @ shares)
    near = " mer-near" if clip in names else ""
    title = escape(f"{names.get(clip, clip)}: labelled {row['quadrant']}")
    return (
        f'<circle class="mer-{row["quadrant"]} mer-clip{near}" cx="{x:.3f}" cy="{-y:.3f}" '
        f'r="{0.028 if near else 0.016}"><title>{title}</title></circle>'
    )


def _windows(timeline: pd.DataFrame) -> list[str]:
    edges = boundaries(timeline)
    return [
        f'<circle class="mer-window mer-{row["quadrant"]}" cx="{row["valence"]:.4f}" '
        f'cy="{-row["arousal"]:.4f}" r=".032" data-start="{start:.3f}" data-end="{end:.3f}">'
        f"<title>{_clock(row['start'])}–{_clock(row['end'])}: {row['quadrant']}</title></circle>"
        for (_, row), start, end in zip(timeline.iterrows(), edges[:-1], edges[1:], strict=True)
    ]
