"""Texts that a figure shows when the pointer is on one of its points."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

POINTS_PER_INCH = 72


@dataclass(frozen=True, kw_only=True)
class Hint:
    """A text and its place in a figure.

    Attributes
    ----------
    x, y : centre, from the upper left corner [point]
    radius : distance from the centre at which it is shown [point]
    text : the text
    """

    x: float
    y: float
    radius: float
    text: str


class Hints(Artist):
    """Texts of points of a panel, which matplotlib itself does not draw.

    Parameters
    ----------
    panel : the panel
    places : x and y in data coordinates [shape=(n, 2)]
    texts : text of each point
    radius : distance at which a text is shown [point]
    """

    def __init__(self, panel: Axes, places: Any, texts: Sequence[str], *, radius: float) -> None:
        super().__init__()
        self.set_in_layout(False)
        self.panel, self.places, self.texts, self.radius = panel, places, tuple(texts), radius


def add_hints(axes: Axes, x: Any, y: Any, texts: Sequence[str], *, radius: float = 4) -> None:
    """Add texts to points of a panel.

    Parameters
    ----------
    axes : the panel
    x, y : data coordinates [shape=(n,)]
    texts : text of each point
    radius : distance at which a text is shown [point]
    """
    places = np.column_stack([np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)])
    axes.add_artist(Hints(axes, places, texts, radius=radius))


def find_hints(figure: Figure) -> Iterator[Hint]:
    """Yield the texts of all points of a figure whose layout is fixed; later ones are on top."""
    scale, height = POINTS_PER_INCH / figure.dpi, POINTS_PER_INCH * figure.get_figheight()
    for artist in figure.findobj(Hints):
        places = scale * artist.panel.transData.transform(artist.places)
        for (x, y), text in zip(places, artist.texts, strict=True):
            if np.isfinite([x, y]).all():
                yield Hint(x=float(x), y=height - float(y), radius=artist.radius, text=text)
