"""Docstrings of the project as Markdown, and as numpydoc that mkdocstrings understands.

The project writes ``name : description`` on one line, and the type stands in the signature.
Numpydoc reads the second half of that line as the type, so it is moved to a line of its own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

from griffe import Extension

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data):`~?([^`]+)`")
ITEM = re.compile(r"^(\*{0,2}\w+(?:, \*{0,2}\w+)*) : (.+)$")
LIMITS = re.compile(r"^(int|float) (>=?) 0?1?(, |$)|^``sgd`` or ``adam``$")
"""Type and limits at the start of a description, which pages show in other columns."""
NAMED = ("Parameters", "Attributes", "Other Parameters")
UNNAMED = ("Returns", "Yields")
CITED = "References"
DECLARATIONS = ("declared", "searchable")
"""Functions that declare a field, whose first argument is its default."""


def sections(text: str) -> list[tuple[str, list[str]]]:
    """Divide a docstring into its numpydoc sections; the first one has no title."""
    found: list[tuple[str, list[str]]] = [("", [])]
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if at + 1 < len(lines) and line and set(lines[at + 1].strip()) == {"-"}:
            found.append((line.strip(), []))
        elif not (line.strip() and set(line.strip()) == {"-"}):
            found[-1][1].append(line)
    return found


def plain(text: str) -> str:
    """Replace roles of reStructuredText by code."""
    return ROLE.sub(r"`\1`", text)


def references(lines: list[str]) -> list[str]:
    """Join the lines of each reference; one ends with a line that ends with a full stop."""
    entries, open_entry = [], ""
    for line in filter(None, map(str.strip, lines)):
        open_entry = f"{open_entry} {line}".strip()
        if line.endswith("."):
            entries.append(open_entry)
            open_entry = ""
    return entries + [open_entry] * bool(open_entry)


def described(text: str) -> dict[str, str]:
    """Return the description of each name in lines ``name, name : description``."""
    found: dict[str, str] = {}
    names: list[str] = []
    for line in re.split(r"\n|; (?=\w+ : )", text):
        item = re.match(r"^\s*(\w+(?:, \w+)*) : (.+)$", line)
        if item:
            names = item[1].split(", ")
            found |= dict.fromkeys(names, item[2].strip())
        elif line.strip() and names and "---" not in line:
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return {name: plain(LIMITS.sub("", words)).rstrip(".") for name, words in found.items()}


def markdown(text: str) -> str:
    """Return the description and the references of a docstring as Markdown."""
    parts = []
    for title, lines in sections(text):
        if not title:
            parts.append(plain("\n".join(lines)).strip())
        elif title == CITED:
            parts.append("\n".join(["## References", "", *(f"- {e}" for e in references(lines))]))
    return "\n\n".join(parts)


def numpydoc(text: str, returned: str) -> str:
    """Return a docstring in the form that mkdocstrings reads.

    Parameters
    ----------
    text : the docstring
    returned : annotation of the function's result, empty for none
    """
    return plain("\n".join(_rewritten(text, returned))).strip()


def _rewritten(text: str, returned: str) -> Iterator[str]:
    parts = sections(text)
    cited = [entry for title, lines in parts if title == CITED for entry in references(lines)]
    for title, lines in parts:
        if title == CITED:
            continue
        if title:
            yield from (title, "-" * len(title))
        if title in NAMED:
            yield from _items(lines)
        elif title in UNNAMED and returned:
            yield from (returned, *(f"    {line}" for line in lines if line.strip()), "")
        else:
            yield from lines
        if not title and cited:  # what follows a section would be read as a part of it
            yield from ("", "**References**", "", *(f"- {entry}" for entry in cited), "")


def _items(lines: list[str]) -> Iterator[str]:
    """Yield an item of its own for each of several names with one description."""
    names: list[str] = []
    words: list[str] = []
    for line in [*lines, " : "]:
        item = ITEM.match(line)
        if item or line == " : ":
            for name in names:
                yield from (name, *words)
            names, words = (item[1].split(", "), [f"    {item[2]}"]) if item else ([], [])
        elif names:
            words.append(line)
        else:
            yield line


def default_of(value: str) -> str | None:
    """Return the default in a declaration of a field; None if it is not one."""
    try:
        call = ast.parse(value, mode="eval").body
    except SyntaxError:
        return None
    if isinstance(call, ast.Call) and call.args and ast.unparse(call.func) in DECLARATIONS:
        return ast.get_source_segment(value, call.args[0])
    return None


class Docstrings(Extension):
    """Rewrites docstrings and defaults when mkdocstrings reads the package."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring is not None:
            returned = str(obj.returns or "") if obj.is_function else ""
            obj.docstring.value = numpydoc(obj.docstring.value, returned)
        for item in obj.parameters if obj.is_function else ():
            if (shown := default_of(str(item.default))) is not None:
                item.default = shown
