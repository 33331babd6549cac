"""The notebooks as pages, executed when the documentation is built, and as files to download."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTE = """\
!!! note
    Executed when this page was built. [Download the notebook]({name}), and open it with
    `jupyter lab`, in the project's environment ([From Python](../guides/python.md)).
"""
CELL_SECONDS = 600
STYLE = re.compile(r"<style[^>]*>.*?</style>", re.DOTALL)
SVG = re.compile(r"<svg.*</svg>", re.DOTALL)
SVG_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')
JUPYTER = ("IPYTHONDIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR")
"""Variables of Jupyter's folders."""


def notebooks() -> list[Path]:
    """Return the notebooks in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def page(notebook: Path) -> str:
    """Return the Markdown of a notebook with its outputs."""
    cells = executed(notebook).cells
    first, *rest = [_cell(cell, name=f"{notebook.stem}-{i}") for i, cell in enumerate(cells)]
    title, _, introduction = first.partition("\n")
    note = NOTE.format(name=notebook.name)
    text = "\n\n".join([introduction.strip(), *rest])
    for other in notebooks():  # links between the notebooks lead to their pages
        text = text.replace(f"]({other.name})", f"]({other.stem}.md)")
    return f"{title}\n\n{note}\n\n{text}"


@cache
def executed(notebook: Path) -> NotebookNode:
    """Execute a notebook in a temporary folder, which also gets the tracking store.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails; the documentation is not built then.
    """
    content = nbformat.read(notebook, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            content,
            timeout=CELL_SECONDS,
            coalesce_streams=True,
            resources={"metadata": {"path": folder}},
        )
        client.execute(env=_environment(folder))
    # outputs name files of the folder as a user sees them, relative to the notebook
    text = nbformat.writes(content).replace(f"{folder}/", "")
    return nbformat.reads(text, as_version=4)


def _environment(folder: str) -> dict[str, str]:
    """Return the variables of the kernel: without addresses of MLflow and settings of Jupyter."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    return kept | {name: f"{folder}/{name}" for name in JUPYTER}


def _cell(cell: NotebookNode, *, name: str) -> str:
    if cell.cell_type != "code":
        return str(cell.source)
    outputs = [
        shown
        for i, output in enumerate(cell.outputs)
        if (shown := _output(output, name=f"{name}-{i}"))
    ]
    return "\n\n".join([f"```python\n{cell.source}\n```", *outputs])


def _output(output: NotebookNode, *, name: str) -> str:
    """Return an output as HTML; sounds and links to files of the execution are left out."""
    if output.output_type == "stream":
        return _text(output.text) if output.name == "stdout" else ""
    data = output.get("data", {})
    if "image/svg+xml" in data:
        return _block(_with_own_ids(data["image/svg+xml"], name=name))
    html = data.get("text/html", "")
    if "<table" in html:
        return _block(STYLE.sub("", html))
    if html:
        return ""
    return _text(data.get("text/plain", ""))


def _with_own_ids(svg: str, *, name: str) -> str:
    """Return the drawing with ids that no other drawing of the page has."""
    found = SVG.search(svg)
    return "" if found is None else SVG_ID.sub(rf"\g<1>{name}-", found[0])


def _text(text: str) -> str:
    return _block(f"<pre>{escape(text.rstrip())}</pre>") if text.strip() else ""


def _block(html: str) -> str:
    """Return HTML that Markdown does not change: without empty lines."""
    lines: Iterable[str] = (line for line in html.splitlines() if line.strip())
    return '<div class="output">\n' + "\n".join(lines) + "\n</div>"
