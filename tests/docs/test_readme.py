"""The README: its table follows from the declarations, and its links have targets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mer_mlflow.commands.readme import END, START, methods_table, with_table
from mer_mlflow.methods import get_method, method_names

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(text: str) -> set[str]:
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}


def test_table_is_up_to_date() -> None:
    assert with_table(README) == README, "README.md is stale: run `make mlproject` and commit it"


def test_table_names_each_method_once() -> None:
    names = re.findall(r"(?m)^\| `(\w+)` \|", methods_table())
    assert names == list(method_names())
    assert f"{get_method('svm').published['original-4qaed'].f1:.2f}" in methods_table()


def test_stale_table_is_replaced_and_nothing_else() -> None:
    made = with_table(f"before\n{START}\n| old |\n{END}\nafter\n")
    assert made == f"before\n{START}\n{methods_table()}{END}\nafter\n"


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
