"""The picture of the architecture: how a request becomes a report, and which package does it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

STEPS: tuple[tuple[str, str, str], ...] = (
    ("Request", "MLproject entry, mer, YAML or Python", "commands/  studies/  tuning/"),
    ("Experiment", "what is asked for; values may be omitted", "experiments/"),
    ("Setting", "all values resolved for given clips", "experiments/resolve  checks/"),
    ("Split plan and jobs", "one job for each fold", "crossval/"),
    ("Fold result", "fit on training clips, predict test clips", "training/  methods/  networks/"),
    ("Run tree", "a parent, and a nested run for each fold", "tracking/  archive/"),
)
"""Title, content and packages of each box, from the top."""
RESULTS: tuple[tuple[str, str, str], ...] = (
    ("Report", "tables, tests, figures", "reporting/"),
    ("Model", "predicts songs", "deployment/  page/"),
)
"""Boxes beside each other below the last one."""
SIDE = ("Clips", "datasets/", "Arrays", "representations/", "augmentation/")
WIDTH, BOX, GAP, LEFT, SIDE_WIDTH = 490, 62, 26, 152, 126
"""Sizes in pixels of the picture."""


def picture() -> str:
    """Return the picture as SVG within HTML, in the colours of the page."""
    height = (len(STEPS) + 1) * (BOX + GAP)
    boxes = [_box(step, LEFT, _top(at), WIDTH - LEFT - 2) for at, step in enumerate(STEPS)]
    arrows = [_arrow(at, LEFT + (WIDTH - LEFT) // 2) for at in range(len(STEPS) - 1)]
    parts = "".join([*boxes, *arrows, *_results(), _side()])
    return (
        f'<div class="picture"><svg viewBox="0 0 {WIDTH} {height}" role="img" fill="none" '
        'stroke="currentColor" font-size="14" aria-label="From a request to a report and a model">'
        f"{parts}</svg></div>"
    )


def _top(at: int) -> int:
    return at * (BOX + GAP) + 2


def _box(step: Sequence[str], x: int, y: int, width: int) -> str:
    text = _lines(step, x=x + width // 2, top=y + 18, packages=(2,))
    return _rect(x, y, width, BOX) + text


def _arrow(at: int, x: int) -> str:
    return f'<path d="M{x} {_top(at) + BOX + 3}v{GAP - 8}m-5 -6l5 6l5 -6"/>'


def _results() -> list[str]:
    at, width = len(STEPS), (WIDTH - LEFT - 14) // 2
    places = [LEFT, LEFT + width + 12]
    boxes = [_box(step, x, _top(at), width) for step, x in zip(RESULTS, places, strict=True)]
    return boxes + [_arrow(at - 1, x + width // 2) for x in places]


def _side() -> str:
    """Return the box of the data, which jobs read."""
    top, bottom = _top(2), _top(4) + BOX
    middle = _top(3) + BOX // 2
    arrow = f'<path d="M{SIDE_WIDTH + 4} {middle}h{LEFT - SIDE_WIDTH - 9}m-6 -5l6 5l-6 5"/>'
    text = _lines(SIDE, x=SIDE_WIDTH // 2 + 2, top=middle - 34, packages=(1, 3, 4))
    return _rect(2, top, SIDE_WIDTH, bottom - top) + text + arrow


def _rect(x: int, y: int, width: int, height: int) -> str:
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" stroke-width="1.2"/>'


def _lines(texts: Sequence[str], *, x: int, top: int, packages: Sequence[int]) -> str:
    return "".join(
        f'<text x="{x}" y="{top + 18 * at}" text-anchor="middle" stroke="none" fill="currentColor"'
        f"{_style(at, packages)}>{escape(text)}</text>"
        for at, text in enumerate(texts)
    )


def _style(at: int, packages: Sequence[int]) -> str:
    if at in packages:
        return ' font-size="12" opacity=".75" font-family="monospace"'
    return ' font-weight="600"' if at == 0 or at - 1 in packages else ' font-size="13"'
