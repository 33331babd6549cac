"""Access to parts of a document, for all formats."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

from mer_mlflow.reporting.document import Block, Document, Picture, Section, Table

WEB_PAGE = re.compile("https?://", re.IGNORECASE)


def numbered(document: Document) -> Iterator[tuple[Section, tuple[tuple[int, Block], ...]]]:
    """Yield each section with its blocks, which are numbered by kind over the document."""
    counts: Counter[type[Block]] = Counter()
    for section in document.sections:
        blocks = []
        for block in section.blocks:
            counts[type(block)] += 1
            blocks.append((counts[type(block)], block))
        yield section, tuple(blocks)


def tables(document: Document) -> tuple[Table, ...]:
    """Return the tables of all sections, in order."""
    return tuple(
        block
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Table)
    )


def pictures(document: Document) -> tuple[Picture, ...]:
    """Return the figures of all sections, in order."""
    return tuple(
        block
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Picture)
    )


def file_link(path: str) -> str:
    """Return a link target of a local file, relative to the report; empty for an absolute path.

    It begins with a dot, so that it cannot name a protocol or a server.
    """
    if not path or path.startswith("/"):
        return ""
    return quote(path if path.startswith("../") else f"./{path}", safe="/")


def link(address: str) -> str:
    """Return a safe link target for all formats, empty if the address is not a web page.

    Brackets are not escaped, because IPv6 addresses contain them.
    """
    return quote(address, safe=":/?#[]@!&+,;=%~") if WEB_PAGE.match(address) else ""
