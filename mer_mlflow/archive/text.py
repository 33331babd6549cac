"""Changes of texts: credentials are removed during export, ids are replaced during import."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from mer_mlflow.credentials import NAME_OF_VALUE
from mer_mlflow.errors import ParameterError

TEXTS = (".json", ".csv", ".html", ".md", ".tex", ".yaml", ".yml", ".txt")
"""Suffixes of text artifacts; Parquet tables and figures contain no ids of runs."""
BLOCK = 1 << 20
BETWEEN = ' \n\r\t",<>'
"""Characters that are in no id, user or password: a text may be split there."""
LONGEST = 1 << 24
"""Maximum length without such a character; a longer piece is not text, and is split anyway."""
USER = re.compile(r"(?<=://)[^\s/?#,\"'<>\\]*@")
PASSWORD = re.compile(rf"((?:[?&]|&amp;|\\u0026){NAME_OF_VALUE}=)[^\s&#,\"'<>\\]*", re.IGNORECASE)
"""Pattern of credentials without characters that may end an address in a text. Such a character in
a credential must be quoted, as in ``%2C``; other text must not be removed."""
RUN = re.compile(r"(experiments/\d+/(?:runs/|models/m-))?(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f])")

Change = Callable[[str], str]


def without_credentials(text: str) -> str:
    """Return a text without users and passwords in addresses."""
    return PASSWORD.sub(r"\1", USER.sub("", text)) if "://" in text else text


def with_ids(ids: Mapping[str, str], *, experiments: tuple[str, str]) -> Change:
    """Return a function that replaces ids of runs and models in a text.

    Parameters
    ----------
    ids : new ids by old id, those of models without ``m-``; other ids are not changed
    experiments : old and new id of the experiment, which is a part of the addresses of pages
    """
    old, new = (f"experiments/{each}/" for each in experiments)

    def replace(match: re.Match[str]) -> str:
        prefix, run_id = match[1] or "", match[2]
        if run_id not in ids:
            return match[0]
        moved = new + prefix.removeprefix(old) if prefix.startswith(old) else prefix
        return moved + ids[run_id]

    return lambda text: RUN.sub(replace, text)


def check_printable(parameter: str, value: str) -> None:
    """Check that a parameter's value is printable.

    Raises
    ------
    ParameterError
        If it contains line breaks or other control characters.
    """
    if not value.isprintable():
        raise ParameterError(f"{parameter}={value!r}: has characters that are not allowed in names")


def is_text(name: str) -> bool:
    """Return whether an artifact is a text."""
    return PurePosixPath(name).suffix.lower() in TEXTS


def rewrite(path: Path, change: Change) -> None:
    """Change a text file, in blocks."""
    with (
        path.open("rb") as source,
        tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as target,
    ):
        for piece in changed(source, change):
            target.write(piece)
    shutil.copymode(path, target.name)  # a temporary file is accessible to its user only
    Path(target.name).replace(path)


def changed(source: IO[bytes], change: Change) -> Iterator[bytes]:
    """Change a text, in blocks."""
    left = ""
    while block := source.read(BLOCK):
        # Latin-1 preserves every byte of any encoding; the replaced texts are ASCII
        text = left + block.decode("latin-1")
        cut = max(len(text) - LONGEST, *(text.rfind(character) for character in BETWEEN), 0)
        yield change(text[:cut]).encode("latin-1")
        left = text[cut:]
    yield change(left).encode("latin-1")
