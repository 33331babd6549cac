"""readme: write the README's tables of methods and of measured scores."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from mer_mlflow.commands.measured import Measured, measured
from mer_mlflow.commands.methods import ORIGINAL, inputs_text
from mer_mlflow.methods import get_method, method_names
from mer_mlflow.training import Method

METHODS = "<!-- methods: made by `make mlproject` -->", "<!-- end of methods -->"
RESULTS = "<!-- results: made by `make mlproject` -->", "<!-- end of results -->"
REFERENCE = "reference-results"
"""Folder beside the README with the measured scores."""
N_SHOWN = 3
NOT_YET, EARLIER_MARK = "not yet", "*"


def methods_table(scores: Mapping[str, Measured]) -> str:
    """Return the table of methods as Markdown.

    Parameters
    ----------
    scores : measured scores by method
    """
    head = (
        "| name | method | reads | library | published F1 | measured F1 |\n"
        "|---|---|---|---|---:|---|\n"
    )
    rows = (_method_row(get_method(name), scores.get(name)) for name in method_names())
    return head + "".join(rows)


def results_table(scores: Mapping[str, Measured]) -> str:
    """Return the best measured scores as Markdown.

    Parameters
    ----------
    scores : measured scores by method
    """
    best = sorted(scores, key=lambda name: -scores[name].f1)[:N_SHOWN]
    head = (
        "| on Original-4QAED, 10 x 10 folds | macro F1 [95 % interval] | published |\n"
        "|---|---|---|\n"
    )
    n_missing = len(method_names()) - len(scores)
    rest = f"{len(scores) - len(best)} measured, {n_missing} {NOT_YET}"
    rows = (_result_row(get_method(name), scores[name]) for name in best)
    return f"{head}{''.join(rows)}| [other methods](#methods) | {rest} | |\n"


def with_tables(text: str, scores: Mapping[str, Measured]) -> str:
    """Return the README with tables that are up to date.

    Parameters
    ----------
    text : the README; each table stands between two comments
    scores : measured scores by method
    """
    text = _between(text, METHODS, methods_table(scores))
    return _between(text, RESULTS, results_table(scores))


def _between(text: str, marks: tuple[str, str], table: str) -> str:
    first, last = marks
    before, start, rest = text.partition(first)
    _, end, after = rest.partition(last)
    return f"{before}{start}\n{table}{end}{after}"


def _method_row(method: Method, score: Measured | None) -> str:
    cells = (
        f"`{method.name}`",
        method.title,
        inputs_text(method),
        method.framework,
        _published(method),
        NOT_YET if score is None else measured_text(score),
    )
    return f"| {' | '.join(cells)} |\n"


def _result_row(method: Method, score: Measured) -> str:
    published = _published(method)
    return f"| `{method.name}` | {measured_text(score)} | {published} |\n"


def _published(method: Method) -> str:
    published = method.published.get(ORIGINAL)
    return f"{published.f1:.2f}" if published else ""


def measured_text(score: Measured) -> str:
    """Return a score with its interval, marked if its runs are in no archive."""
    mark = "" if score.is_archived else f" {EARLIER_MARK}"
    return f"{score.f1:.1f} [{score.low:.1f}, {score.high:.1f}]{mark}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(with_tables(file.read_text(), measured(file.parent / REFERENCE)))
