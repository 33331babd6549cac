"""What several formats need of a document."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

from mer_mlflow.reporting.document import Block, Document, Picture, Section, Table

WEB_PAGE = re.compile("https?://", re.IGNORECASE)


def numbered(document: Document) -> Iterator[tuple[Section, tuple[tuple[int, Block], ...]]]:
    """Give each section with its blocks, each counted among its kind through the document."""
    counts: Counter[type[Block]] = Counter()
    for section in document.sections:
        blocks = []
        for block in section.blocks:
            counts[type(block)] += 1
            blocks.append((counts[type(block)], block))
        yield section, tuple(blocks)


def tables(document: Document) -> tuple[Table, ...]:
    """Tables of all sections, in order."""
    return tuple(
        block
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Table)
    )


def pictures(document: Document) -> tuple[Picture, ...]:
    """Pictures of all sections, in order."""
    return tuple(
        block
        for section in document.sections
        for block in section.blocks
        if isinstance(block, Picture)
    )


def link(address: str) -> str:
    """Address that is safe to click in any format, empty where it leads to no web page.

    Brackets stay for the sake of hosts that are IPv6 addresses.
    """
    return quote(address, safe=":/?#[]@!&+,;=%~") if WEB_PAGE.match(address) else ""
