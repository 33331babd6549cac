"""Files of a report."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from mer_mlflow.reporting.document import Document
from mer_mlflow.reporting.rendering._blocks import pictures, tables
from mer_mlflow.reporting.rendering.csv import to_csv
from mer_mlflow.reporting.rendering.html import to_html
from mer_mlflow.reporting.rendering.latex import to_latex, to_latex_table
from mer_mlflow.reporting.rendering.markdown import to_markdown
from mer_mlflow.reporting.rendering.pictures import to_pdf, to_svg

PICTURE_FOLDER, TABLE_FOLDER = "figures", "tables"
REPORT_FOLDERS = (PICTURE_FOLDER, TABLE_FOLDER)
REPORT_NAMES = ("report.html", "report.md", "report.tex")
PAGE = REPORT_NAMES[0]
MOST_BYTES = 1 << 26
"""Maximum size of an earlier page; a larger one is not a report."""
MARKS = ('<main id="page:content"', '<div class="hint" id="page:hint"')
"""Texts that every report's page contains."""
ANCHOR = re.compile(r'<figure class="(?:table|picture)" id="(table|figure):([a-z0-9-]+)">')


def report_files(document: Document) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file: the report in three formats, its tables and figures."""
    yield "report.html", to_html(document).encode()
    yield "report.md", to_markdown(document, picture_folder=PICTURE_FOLDER).encode()
    yield "report.tex", to_latex(document, picture_folder=PICTURE_FOLDER).encode()
    for table in tables(document):
        yield f"{TABLE_FOLDER}/{table.name}.csv", to_csv(table).encode()
        yield f"{TABLE_FOLDER}/{table.name}.tex", to_latex_table(table).encode()
    for picture in pictures(document):
        yield f"{PICTURE_FOLDER}/{picture.name}.svg", to_svg(picture)
        yield f"{PICTURE_FOLDER}/{picture.name}.pdf", to_pdf(picture)


def earlier_files(folder: Path) -> list[str]:
    """Return the names of the files of an earlier report in a folder, according to its page.

    Parameters
    ----------
    folder : folder of a report, or of any other files

    Returns
    -------
    names of files, which need not exist; none if the folder has no report
    """
    page = folder / PAGE
    if page.is_symlink() or not page.is_file() or page.stat().st_size > MOST_BYTES:
        return []
    words = page.read_text(encoding="utf-8", errors="replace")
    if not all(mark in words for mark in MARKS):
        return []
    names = list(REPORT_NAMES)
    for kind, name in ANCHOR.findall(words):
        home, suffixes = (
            (TABLE_FOLDER, (".csv", ".tex"))
            if kind == "table"
            else (PICTURE_FOLDER, (".svg", ".pdf"))
        )
        names += [f"{home}/{name}{suffix}" for suffix in suffixes]
    return names
