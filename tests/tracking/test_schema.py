"""The names of what runs carry stand in one module."""

from __future__ import annotations

import ast
from pathlib import Path

from mer_mlflow.tracking import schema

PACKAGE = Path(__file__).parents[2] / "mer_mlflow"
PREFIXES = (schema.TAGS, schema.CV, schema.DATA, schema.NESTED)


def literals(file: Path) -> list[str]:
    nodes = ast.walk(ast.parse(file.read_text()))
    texts = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [text for text in texts if isinstance(text, str) and text.isascii()]


def test_no_other_module_spells_a_name() -> None:
    own = PACKAGE / "tracking" / "schema.py"
    strays = {
        f"{file.relative_to(PACKAGE)}: {text}"
        for file in PACKAGE.rglob("*.py")
        if file != own
        for text in literals(file)
        if text.startswith(PREFIXES) and text.replace(".", "_").isidentifier()
    }
    assert not strays


def test_names_are_distinct() -> None:
    names = [value for key, value in vars(schema).items() if key.isupper()]
    assert len(set(names)) == len(names)
