"""A report as GitHub-flavoured Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from mer_mlflow.reporting.document import Block, Cell, Document, Picture, Table, Text
from mer_mlflow.reporting.rendering._blocks import link, numbered

SUPERSCRIPTS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
SPECIAL = re.compile(r"[\\`*{}\[\]<>|~$]|(?<![^\W_])_|_(?![^\W_])|(?<!\S)#")
"""Special characters within a line; an underscore inside a word is not special."""


def to_markdown(document: Document, *, picture_folder: str) -> str:
    """Write a report as Markdown.

    Parameters
    ----------
    document : the report
    picture_folder : folder of its SVG files, relative to the Markdown file
    """
    parts = [f"# {escape(document.title)}"]
    parts += ["\n".join(f"- {escape(name)}: {escape(value)}" for name, value in document.facts)]
    for section, blocks in numbered(document):
        parts += [f"## {escape(section.title)}"]
        parts += [_block(block, number, picture_folder) for number, block in blocks]
    return "\n\n".join(part for part in parts if part) + "\n"


def escape(text: str) -> str:
    """Escape a text, on one line."""
    flat = re.sub(r"\s+", " ", text.strip(), flags=re.ASCII)
    return SPECIAL.sub(r"\\\g<0>", flat).replace("&", "&amp;")


def _block(block: Block, number: int, picture_folder: str) -> str:
    match block:
        case Text():
            return _paragraph(block)
        case Table():
            return "\n\n".join(_table(block, f"Table {number}."))
        case Picture():
            return _picture(block, number, picture_folder)


def _paragraph(text: Text) -> str:
    """Escape a text, including a beginning that would start a list."""
    return re.sub(r"^([-+]|\d+(?=[.)]))", _behind_a_backslash, escape(text.content))


def _behind_a_backslash(start: re.Match[str]) -> str:
    return start[0] + "\\" if start[0].isdigit() else "\\" + start[0]


def to_markdown_table(table: Table) -> str:
    """Write one table with its title."""
    return "\n\n".join(_table(table, "")) + "\n"


def _table(table: Table, number: str) -> Iterator[str]:
    yield f"**{number}** {escape(table.title)}" if number else escape(table.title)
    rules = ("---:" if column.is_number else ":---" for column in table.columns)
    lines = [_line(escape(column.title) for column in table.columns), _line(rules)]
    lines += [_line(map(_cell, row)) for row in table.rows]
    if table.rows or not table.folded:
        yield "\n".join(lines)
    if table.folded:
        yield f"{escape(table.folded_title)}."
    if table.notes:
        notes = enumerate(table.notes, start=1)
        yield "\n".join(f"- {_superscript(mark)} {escape(note)}" for mark, note in notes)


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    shown = escape(cell.text)
    if shown and link(cell.address):
        shown = f"[{shown}]({link(cell.address)})"
    shown += ",".join(map(_superscript, cell.marks))
    # marks are inside: asterisks between ")" and a digit would not end the bold text
    return f"**{shown}**" if shown and cell.is_best else shown


def _superscript(mark: int) -> str:
    return str(mark).translate(SUPERSCRIPTS)


def _picture(picture: Picture, number: int, folder: str) -> str:
    image = f"![{escape(picture.description)}]({folder}/{picture.name}.svg)"
    return f"{image}\n\n**Figure {number}.** {escape(picture.title)}"
