"""All files of a report."""

from __future__ import annotations

from collections.abc import Iterator

from mer_mlflow.reporting.document import Document
from mer_mlflow.reporting.rendering._blocks import pictures, tables
from mer_mlflow.reporting.rendering.csv import to_csv
from mer_mlflow.reporting.rendering.html import to_html
from mer_mlflow.reporting.rendering.latex import to_latex, to_latex_table
from mer_mlflow.reporting.rendering.markdown import to_markdown
from mer_mlflow.reporting.rendering.pictures import to_pdf, to_svg

PICTURE_FOLDER = "figures"


def report_files(document: Document) -> Iterator[tuple[str, bytes]]:
    """Give name and content of each file: the report in three formats, its tables and figures."""
    yield "report.html", to_html(document).encode()
    yield "report.md", to_markdown(document, picture_folder=PICTURE_FOLDER).encode()
    yield "report.tex", to_latex(document, picture_folder=PICTURE_FOLDER).encode()
    for table in tables(document):
        yield f"tables/{table.name}.csv", to_csv(table).encode()
        yield f"tables/{table.name}.tex", to_latex_table(table).encode()
    for picture in pictures(document):
        yield f"{PICTURE_FOLDER}/{picture.name}.svg", to_svg(picture)
        yield f"{PICTURE_FOLDER}/{picture.name}.pdf", to_pdf(picture)
