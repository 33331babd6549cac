"""A report as one self-contained HTML page, without other files or network access."""

from __future__ import annotations

import math
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined

from mer_mlflow.reporting.document import Document, Picture, Table
from mer_mlflow.reporting.rendering._blocks import file_link, link, numbered
from mer_mlflow.reporting.rendering.pictures import colour_rules, to_inline_svg

LONGEST_ON_ONE_LINE = 30
"""Maximum number of characters of a cell without line breaks."""
FIGURE = ".card svg"
"""Selector of the page's figures."""


def to_html(document: Document) -> str:
    """Write a report as an HTML page.

    Sorting, the choice of colours and the enlargement of figures need the page's script; everything
    else works without it.
    """
    template = _environment().get_template("report.html.jinja")
    return template.render(
        document=document,
        sections=tuple(numbered(document)),
        figure_colours=colour_rules(FIGURE),
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests |= {
        "table": lambda block: isinstance(block, Table),
        "picture": lambda block: isinstance(block, Picture),
        "long": lambda text: len(text) > LONGEST_ON_ONE_LINE,
    }
    environment.filters |= {
        "link": link,
        "sort_key": _sort_key,
        "file_link": file_link,
        "inline_svg": to_inline_svg,
    }
    return environment


def _sort_key(value: float | None) -> str | None:
    """Return a number in JavaScript syntax."""
    if value is None or math.isnan(value):
        return None
    return repr(float(value)) if math.isfinite(value) else f"{math.copysign(1, value):.0f}e999"
