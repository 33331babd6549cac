"""Formats of a report: HTML, Markdown, LaTeX, CSV, and figures as files."""

from mer_mlflow.reporting.rendering._blocks import tables
from mer_mlflow.reporting.rendering.csv import to_csv
from mer_mlflow.reporting.rendering.files import (
    REPORT_FOLDERS,
    REPORT_NAMES,
    earlier_files,
    report_files,
)
from mer_mlflow.reporting.rendering.html import to_html
from mer_mlflow.reporting.rendering.json import to_json
from mer_mlflow.reporting.rendering.latex import to_latex, to_latex_table
from mer_mlflow.reporting.rendering.markdown import to_markdown, to_markdown_table
from mer_mlflow.reporting.rendering.pictures import to_pdf, to_svg

__all__ = [
    "REPORT_FOLDERS",
    "REPORT_NAMES",
    "earlier_files",
    "report_files",
    "tables",
    "to_csv",
    "to_html",
    "to_json",
    "to_latex",
    "to_latex_table",
    "to_markdown",
    "to_markdown_table",
    "to_pdf",
    "to_svg",
]
