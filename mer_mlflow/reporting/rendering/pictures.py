"""Pictures as vector files whose bytes depend on nothing but what is drawn."""

from __future__ import annotations

import copy
import io

import matplotlib

from mer_mlflow.reporting.document import Picture


def to_svg(picture: Picture) -> bytes:
    """Draw as SVG, with letters as outlines: it looks the same without our fonts."""
    with matplotlib.rc_context({"svg.hashsalt": picture.name, "svg.fonttype": "path"}):
        return _drawn(picture, "svg", no_date="Date")


def to_pdf(picture: Picture) -> bytes:
    """Draw as PDF, with TrueType fonts: publishers refuse matplotlib's usual Type 3."""
    with matplotlib.rc_context({"pdf.fonttype": 42}):
        return _drawn(picture, "pdf", no_date="CreationDate")


def _drawn(picture: Picture, suffix: str, *, no_date: str) -> bytes:
    # drawing moves the parts of a laid out figure, so that a second drawing would differ
    figure = copy.deepcopy(picture.figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix, metadata={no_date: None})
    return buffer.getvalue()
