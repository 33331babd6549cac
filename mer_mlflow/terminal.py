"""Text for a terminal: control characters from servers and files are made visible."""

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
"""Control characters, line separators, and characters that reverse or hide the following text."""
PROXIED = "rich_proxied_file"
"""Attribute of rich's streams: the stream they write to."""
CONTROL = re.compile(f"[{UNPRINTABLE}]")
CONTROL_OR_BREAK = re.compile(f"[{UNPRINTABLE}\t\n]")


def printable(text: object, *, most: int | None = None) -> str:
    r"""Return a text as one line, with control characters replaced by codes such as ``\x1b``.

    Parameters
    ----------
    text : a name, tag or message from a server or a file
    most : maximum number of characters
    """
    words = str(text)
    if most is not None and len(words) > most:
        words = words[: most - 1] + "…"
    return CONTROL_OR_BREAK.sub(_code, words)


def cell(text: object) -> Text:
    """Return a table cell for a terminal; the text is not interpreted as markup."""
    from rich.text import Text

    return Text(printable(text))


def console(*, width: int | None = None) -> Console:
    """Return a console for tables and progress bars, which need control characters.

    Parameters
    ----------
    width : number of characters if the output is not a terminal, by default 80
    """
    from rich.console import Console

    return Console(file=_unguarded(sys.stdout), width=None if sys.stdout.isatty() else width)


def guard_output() -> None:
    """Make all further output of this process printable, and hide credentials in it."""
    sys.stdout = _guarded(sys.stdout)
    sys.stderr = _guarded(sys.stderr)


class _Guarded:
    """A stream that writes control characters as codes."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> int:
        start = text[: text.startswith("\r")]  # libraries begin a progress line with it
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
