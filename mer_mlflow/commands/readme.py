"""readme: write the table of methods in the README from their declarations."""

from __future__ import annotations

import sys
from pathlib import Path

from mer_mlflow.commands.methods import ORIGINAL, inputs_text
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.training import Method

START = "<!-- methods: made by `make mlproject` -->"
END = "<!-- end of methods -->"


def methods_table() -> str:
    """Return the table as Markdown."""
    head = "| name | method | reads | library | published F1 |\n|---|---|---|---|---:|\n"
    return head + "".join(_row(get_method(name)) for name in method_names())


def with_table(text: str) -> str:
    """Return the README with a table that is up to date.

    Parameters
    ----------
    text : the README; its table stands between two comments
    """
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    return f"{before}{start}\n{methods_table()}{end}{after}"


def _row(method: Method) -> str:
    published = method.published.get(ORIGINAL)
    score = f"{published.f1:.2f}" if published else ""
    cells = (f"`{method.name}`", method.title, inputs_text(method), method.framework, score)
    return f"| {' | '.join(cells)} |\n"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_table(file.read_text()))
