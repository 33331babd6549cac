"""The notebooks as pages, without outputs, and as files to download."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTE = """\
!!! note
    The outputs are not shown here. [Download the notebook]({name}), and open it with
    `jupyter lab`, in the project's environment ([From Python](../guides/python.md)).
"""


def notebooks() -> list[Path]:
    """Return the notebooks in order."""
    return sorted(FOLDER.glob("*.ipynb"))


def page(notebook: Path) -> str:
    """Return the Markdown of a notebook."""
    cells = json.loads(notebook.read_text())["cells"]
    first, *rest = [_cell(cell) for cell in cells]
    title, _, introduction = first.partition("\n")
    note = NOTE.format(name=notebook.name)
    text = "\n\n".join([introduction.strip(), *rest])
    for other in notebooks():  # links between the notebooks lead to their pages
        text = text.replace(f"]({other.name})", f"]({other.stem}.md)")
    return f"{title}\n\n{note}\n\n{text}"


def _cell(cell: dict[str, Any]) -> str:
    source = "".join(cell["source"])
    return f"```python\n{source}\n```" if cell["cell_type"] == "code" else source
