"""Values of arousal and valence on several scales, and the quadrants that they are in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mer_mlflow.datasets.tables import Table
from mer_mlflow.errors import DatasetError, ParameterError, excerpt, listing

SCALES: Mapping[str, tuple[float, float]] = {
    "1-9": (1.0, 9.0),
    "0-1": (0.0, 1.0),
    "-1-1": (-1.0, 1.0),
}
"""Lowest and highest value of each scale, in whose middle the quadrants meet."""
VALENCE, AROUSAL = "valence", "arousal"


@dataclass(frozen=True, kw_only=True)
class Labels:
    """Labels of a table's rows.

    Attributes
    ----------
    quadrants : label of each row, 0 to 3, None for a row on an axis
    values : valence and arousal of each row, from -1 to 1 with the quadrants meeting at 0
        [shape=(n_rows, 2)]; None if the table has quadrants only
    warnings : the scale if it was guessed, and the clips on an axis
    """

    quadrants: tuple[int | None, ...]
    values: NDArray[np.float64] | None = None
    warnings: tuple[str, ...] = ()


def has_values(table: Table) -> bool:
    """Return whether a table has columns of valence and arousal."""
    return table.has(VALENCE) and table.has(AROUSAL)


def labels_from_values(table: Table, *, ids: tuple[str, ...], scale: str | None) -> Labels:
    """Return the quadrants of a table's values of valence and arousal.

    Parameters
    ----------
    table : a table with columns ``valence`` and ``arousal``
    ids : clip id of each row
    scale : one of ``SCALES``, None to guess it from the values

    Raises
    ------
    ParameterError
        If the scale is unknown.
    DatasetError
        If a value is not a number or not on the scale, or the scale cannot be guessed.
    """
    values = _columns(table)
    chosen = _guessed(table, values) if scale is None else _given(table, values, scale)
    centred = _centred(values, chosen)
    sides = np.sign(centred)
    on_axis = [clip for clip, side in zip(ids, sides, strict=True) if not side.all()]
    warnings = []
    if scale is None:
        warnings.append(
            f"{table.path}: valence and arousal are taken as values on the scale {chosen}, because "
            f"they are from {values.min():g} to {values.max():g}; av_scale={chosen} confirms it"
        )
    if on_axis:
        warnings.append(
            f"{table.path}: {len(on_axis)} clips lie on an axis, in no quadrant, and are left out: "
            f"{listing(on_axis)}"
        )
    return Labels(quadrants=tuple(map(_quadrant, sides)), values=centred, warnings=tuple(warnings))


def read_values(
    table: Table, *, ids: Sequence[str], clip_ids: Sequence[str], scale: str
) -> NDArray[np.float64]:
    """Align a table of valence and arousal with clips.

    Parameters
    ----------
    table : a table with columns ``valence`` and ``arousal``
    ids : clip id of each row
    clip_ids : ids of the clips, in order
    scale : one of ``SCALES``

    Returns
    -------
    valence and arousal of each clip, from -1 to 1 with the quadrants meeting at 0
    [shape=(n_clips, 2)], NaN for clips without a row

    Raises
    ------
    DatasetError
        If a value is not a number or not on the scale.
    """
    values = _columns(table)
    centred = _centred(values, _given(table, values, scale))
    rows = {clip: i for i, clip in enumerate(ids)}
    aligned = np.full((len(clip_ids), 2), np.nan)
    for i, clip in enumerate(clip_ids):
        if clip in rows:
            aligned[i] = centred[rows[clip]]
    return aligned


def _columns(table: Table) -> NDArray[np.float64]:
    return np.stack([_values(table, name) for name in (VALENCE, AROUSAL)], axis=1)


def _centred(values: NDArray[np.float64], scale: str) -> NDArray[np.float64]:
    low, high = SCALES[scale]
    return (values - (low + high) / 2) / ((high - low) / 2)


def _quadrant(sides: NDArray[np.float64]) -> int | None:
    valence, arousal = (int(side) for side in sides)
    return {(1, 1): 0, (-1, 1): 1, (-1, -1): 2, (1, -1): 3}.get((valence, arousal))


def _values(table: Table, name: str) -> NDArray[np.float64]:
    cells = table.column((name,))
    return np.array(
        [_value(table, line, cell) for (line, _), cell in zip(table.rows, cells, strict=True)]
    )


def _value(table: Table, line: int, cell: str) -> float:
    try:
        value = float(cell)
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise DatasetError(
            f"{table.path}, line {line}: '{excerpt(cell)}' is no value of valence or arousal"
        )
    return value


def _given(table: Table, values: NDArray[np.float64], scale: str) -> str:
    if scale not in SCALES:
        raise ParameterError(f"av_scale={scale}: unknown; scales are {', '.join(SCALES)}")
    low, high = SCALES[scale]
    outside = np.flatnonzero(((values < low) | (values > high)).any(axis=1))
    if len(outside):
        line, _ = table.rows[outside[0]]
        raise DatasetError(
            f"{table.path}, line {line}: valence or arousal is not on the scale {scale}; correct "
            "it, or give another av_scale"
        )
    return scale


def _guessed(table: Table, values: NDArray[np.float64]) -> str:
    """Return the only scale on which all values lie, on both sides of both axes."""

    def fits(low: float, high: float) -> bool:
        middle = (low + high) / 2
        is_inside = low <= values.min() and values.max() <= high
        return (
            is_inside
            and bool((values < middle).any(axis=0).all())
            and bool((values > middle).any(axis=0).all())
        )

    fitting = [scale for scale, (low, high) in SCALES.items() if fits(low, high)]
    if len(fitting) != 1:
        raise DatasetError(
            f"{table.path}: the scale of valence and arousal cannot be guessed from values between "
            f"{values.min():g} and {values.max():g}; give av_scale={', '.join(SCALES)}"
        )
    return fitting[0]
