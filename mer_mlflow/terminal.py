"""Text for a terminal: what came from a server or a file cannot move its cursor or change words."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

from mer_mlflow.credentials import redacted

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

UNPRINTABLE = (
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f"
    "\\ufeff\\ufff9-\\ufffb\\U000e0000-\\U000e0fff"
)
"""Control characters, separators of lines, and what reverses or hides the characters after it."""
PROXIED = "rich_proxied_file"
"""Attribute of rich's own streams: where they write to."""
CONTROL = re.compile(f"[{UNPRINTABLE}]")
CONTROL_OR_BREAK = re.compile(f"[{UNPRINTABLE}\t\n]")


def printable(text: object, *, most: int | None = None) -> str:
    r"""Give a text on one line, with ``\x1b`` and the like in the place of control characters.

    Parameters
    ----------
    text : a name, tag or message from a server or a file
    most : characters to keep
    """
    words = str(text)
    if most is not None and len(words) > most:
        words = words[: most - 1] + "…"
    return CONTROL_OR_BREAK.sub(_code, words)


def cell(text: object) -> Text:
    """Cell of a table in a terminal: nothing in the text is markup."""
    from rich.text import Text

    return Text(printable(text))


def console(*, width: int | None = None) -> Console:
    """Console for tables and bars, which write control characters of their own.

    Parameters
    ----------
    width : characters where the output is no terminal, by default 80
    """
    from rich.console import Console

    return Console(file=_unguarded(sys.stdout), width=None if sys.stdout.isatty() else width)


def guard_output() -> None:
    """Let all that is printed from here on be printable, and without credentials."""
    sys.stdout = _guarded(sys.stdout)
    sys.stderr = _guarded(sys.stderr)


class _Guarded:
    """A stream that gives control characters as codes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        start = text[: text.startswith("\r")]  # progress of libraries begins its line anew
        self.stream.write(start + CONTROL.sub(_code, redacted(text[len(start) :])))
        return len(text)

    def writelines(self, lines: Any) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


def _guarded(stream: TextIO) -> TextIO:
    return stream if isinstance(stream, _Guarded) else cast(TextIO, _Guarded(stream))


def _unguarded(stream: TextIO) -> TextIO:
    while True:
        inner = getattr(stream, "stream" if isinstance(stream, _Guarded) else PROXIED, None)
        if inner is None:
            return stream
        stream = inner


def _code(character: re.Match[str]) -> str:
    return character[0].encode("unicode_escape").decode("ascii")
