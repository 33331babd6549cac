"""Figures as reproducible vector files."""

from __future__ import annotations

import copy
import io

import matplotlib

from mer_mlflow.reporting.document import Picture


def to_svg(picture: Picture) -> bytes:
    """Render as SVG, with letters as outlines, so that it does not depend on installed fonts."""
    with matplotlib.rc_context({"svg.hashsalt": picture.name, "svg.fonttype": "path"}):
        return _drawn(picture, "svg", no_date="Date")


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
