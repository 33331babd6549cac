"""Figures as reproducible vector files, and as part of a page."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

import matplotlib

from mer_mlflow.reporting.document import Picture
from mer_mlflow.reporting.hints import find_hints

DARK: Mapping[str, str] = MappingProxyType(
    {
        "#000000": "#e4e7eb",
        "#444444": "#c3cad2",
        "#777777": "#98a2ad",
        "#dddddd": "#38414b",
        "#ffffff": "#15191e",
    }
)
"""Colour on a dark page of each neutral colour; the others have enough contrast on both."""

PROLOGUE = re.compile(rb"\A.*?(?=<svg)|<metadata>.*?</metadata>|<style.*?</style>", re.DOTALL)
ROOT = re.compile(rb"<svg [^>]*>")
IDS = re.compile(rb'(\bid="|href="#|url\(#)')


def to_svg(picture: Picture) -> bytes:
    """Render as SVG, with letters as outlines, so that it does not depend on installed fonts.

    It follows the colour scheme of its viewer, and its points have titles.
    """
    with matplotlib.rc_context({"svg.hashsalt": picture.name, "svg.fonttype": "path"}):
        drawn = _drawn(picture, "svg", no_date="Date")
    style = f"<style>svg{{color-scheme:light dark}}{colour_rules('svg')}</style>"
    with_style = ROOT.sub(lambda root: root[0] + style.encode(), drawn, count=1)
    head, end, _ = with_style.rpartition(b"</svg>")
    return head + _titles(picture) + end + b"\n"


def to_inline_svg(picture: Picture) -> str:
    """Render as an element of an HTML page, whose ids begin with the picture's name.

    The page has to contain :func:`colour_rules`.
    """
    element = PROLOGUE.sub(b"", to_svg(picture)).replace(b"xlink:href=", b"href=")
    unique = IDS.sub(lambda found: found[1] + f"svg:{picture.name}:".encode(), element)
    width, height = (round(72 * inches, 2) for inches in picture.figure.get_size_inches())
    root = (
        f'<svg viewBox="0 0 {width:g} {height:g}" width="{width * 96 / 72:.0f}" '
        f'height="{height * 96 / 72:.0f}" role="img" aria-label="{escape(picture.description)}">'
    )
    return ROOT.sub(lambda _: root.encode(), unique, count=1).decode().strip()


def colour_rules(selector: str) -> str:
    """Return style rules that adapt the neutral colours of figures to the colour scheme."""
    rules = [f"{selector}{{fill:light-dark(#000000,{DARK['#000000']})}}"]
    rules += [
        f'{selector} [style*="{kind}: {light}"]{{{kind}:light-dark({light},{dark})!important}}'
        for light, dark in DARK.items()
        for kind in ("fill", "stroke")
    ]
    return "".join(rules)


def to_pdf(picture: Picture) -> bytes:
    """Render as PDF, with TrueType fonts, because publishers reject matplotlib's Type 3 fonts."""
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        return _drawn(picture, "pdf", no_date="CreationDate")


def _drawn(picture: Picture, suffix: str, *, no_date: str) -> bytes:
    # rendering changes the layout of a figure, so that a second rendering would differ
    figure = copy.deepcopy(picture.figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, metadata={no_date: None})
    return buffer.getvalue()


def _titles(picture: Picture) -> bytes:
    """Return transparent circles with titles over the points of a figure."""
    circles = "".join(
        f'<circle cx="{hint.x:.1f}" cy="{hint.y:.1f}" r="{hint.radius:g}">'
        f"<title>{escape(_valid(hint.text))}</title></circle>"
        for hint in find_hints(picture.figure)
    )
    return f'<g fill="transparent">{circles}</g>'.encode() if circles else b""


def _valid(text: str) -> str:
    """Replace characters that XML does not allow."""
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
