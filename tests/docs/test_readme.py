"""The README: its table follows from the declarations, and its links have targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mer_mlflow.commands.measured import Measured, measured
from mer_mlflow.commands.readme import METHODS, RESULTS, methods_table, results_table, with_tables
from mer_mlflow.methods import get_method, method_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(text: str) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_tables_are_up_to_date() -> None:
    made = with_tables(README, measured(ROOT / "reference-results"))
    assert made == README, "README.md is stale: run `make mlproject` and commit it"


def test_methods_table_names_each_method_once() -> None:
    table = methods_table({"svm": scored(75.81), "cnn": scored(60.0, is_archived=False)})
    assert re.findall(r"(?m)^\| `(\w+)` \|", table) == list(method_names())
    published = f"{get_method('svm').published['original-4qaed'].f1:.2f}"
    assert f"| {published} | 75.8 [74.8, 76.8] |" in table
    assert "| 60.0 [59.0, 61.0] * |" in table
    assert table.count("| not yet |") == len(method_names()) - 2


def test_results_table_has_the_best_scores_first() -> None:
    names = method_names()[:5]
    table = results_table({name: scored(50.0 + i) for i, name in enumerate(names)})
    assert re.findall(r"(?m)^\| `(\w+)` \|", table) == list(names[:1:-1])
    assert f"| 2 measured, {len(method_names()) - 5} not yet |" in table


def test_stale_tables_are_replaced_and_nothing_else() -> None:
    scores = {"svm": scored(75.0)}
    old = "\n".join(["before", *RESULTS, "middle", METHODS[0], "| old |", METHODS[1], "after"])
    made = with_tables(old, scores)
    assert made.replace(results_table(scores), "").replace(methods_table(scores), "") == (
        old.replace("| old |\n", "")
    )
    assert with_tables(made, scores) == made


def scored(f1: float, *, is_archived: bool = True) -> Measured:
    return Measured(f1=f1, low=f1 - 1, high=f1 + 1, is_archived=is_archived)


def test_archived_scores_replace_earlier_ones() -> None:
    scores = measured(ROOT / "reference-results")
    assert scores["svm"].is_archived and scores["dnn_100"].is_archived
    assert not scores["embedding_svm"].is_archived
    assert scores["svm"].low < scores["svm"].f1 < scores["svm"].high


def test_readme_is_short() -> None:
    assert len(README.splitlines()) < 150


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "AGENTS.md", "server/README.md"])
def test_links_have_targets(name: str) -> None:
    file = ROOT / name
    for target, anchor in LINK.findall(file.read_text()):
        if target.startswith("http"):
            continue
        linked = file.parent / target if target else file
        assert linked.exists(), f"{name}: {target}"
        assert not anchor or anchor in anchors(linked.read_text()), f"{name}: {target}#{anchor}"


@pytest.mark.parametrize("command", ["make demo", "make test", "make docs", "make page", "make ui"])
def test_commands_of_the_readme_exist(command: str) -> None:
    assert command in README
    target = command.removeprefix("make ")
    assert re.search(rf"(?m)^{target}: ", (ROOT / "Makefile").read_text())
