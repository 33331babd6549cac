"""What changes in texts that move: credentials go before they leave, ids when they arrive."""

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
"""Artifacts that are texts; tables in Parquet and figures hold no ids of runs."""
BLOCK = 1 << 20
BETWEEN = ' \n\r\t",<>'
"""What is in no id, user or password: between these a text may be cut in two."""
LONGEST = 1 << 24
"""Characters without any of them after which a text is cut nevertheless: it is no text."""
USER = re.compile(r"(?<=://)[^\s/?#,\"'<>\\]*@")
PASSWORD = re.compile(rf"((?:[?&]|&amp;|\\u0026){NAME_OF_VALUE}=)[^\s&#,\"'<>\\]*", re.IGNORECASE)
"""Nothing that may end an address in a text is taken for a part of it: what is no credential must
stay, and where one has such a character it is to be quoted as ``%2C``."""
RUN = re.compile(r"(experiments/\d+/runs/)?(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f])")

Change = Callable[[str], str]


def without_credentials(text: str) -> str:
    """A text with no user and no password in any address."""
    return PASSWORD.sub(r"\1", USER.sub("", text)) if "://" in text else text


def with_ids(ids: Mapping[str, str], *, experiments: tuple[str, str]) -> Change:
    """Make the function that replaces ids of runs in a text.

    Parameters
    ----------
    ids : new ids by the old ones; other ids are left as they are
    experiments : old and new id of the experiment, which a run's page has in its address
    """
    old, new = (f"experiments/{each}/runs/" for each in experiments)

    def replace(match: re.Match[str]) -> str:
        home, run_id = match[1] or "", match[2]
        if run_id not in ids:
            return match[0]
        return (new if home == old else home) + ids[run_id]

    return lambda text: RUN.sub(replace, text)


def check_printable(parameter: str, value: str) -> None:
    """Make sure that a parameter's value is text that a person could have meant.

    Raises
    ------
    ParameterError
        If there are line breaks or other control characters in it.
    """
    if not value.isprintable():
        raise ParameterError(f"{parameter}={value!r}: has characters that no name can have")


def is_text(name: str) -> bool:
    """Whether an artifact is a text."""
    return PurePosixPath(name).suffix.lower() in TEXTS


def rewrite(path: Path, change: Change) -> None:
    """Change a text file, block by block."""
    with (
        path.open("rb") as source,
        tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as target,
    ):
        for piece in changed(source, change):
            target.write(piece)
    shutil.copymode(path, target.name)  # a temporary file is its user's alone
    Path(target.name).replace(path)


def changed(source: IO[bytes], change: Change) -> Iterator[bytes]:
    """Change a text, block by block."""
    left = ""
    while block := source.read(BLOCK):
        # Latin-1 gives every byte back, whatever the encoding; what is looked for is ASCII
        text = left + block.decode("latin-1")
        cut = max(len(text) - LONGEST, *(text.rfind(character) for character in BETWEEN), 0)
        yield change(text[:cut]).encode("latin-1")
        left = text[cut:]
    yield change(left).encode("latin-1")
