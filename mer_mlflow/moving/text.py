"""What changes in texts that move: credentials go before they leave, ids when they arrive."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO

from mer_mlflow.access import USER
from mer_mlflow.errors import ParameterError

TEXTS = (".json", ".csv", ".html", ".md", ".tex", ".yaml", ".yml", ".txt")
"""Artifacts that are texts; tables in Parquet and figures hold no ids of runs."""
BLOCK = 1 << 20
BETWEEN = ' \n\r\t",<>'
"""What is in no address and no id: between these a text may be cut in two."""
LONGEST = 1 << 24
"""Characters without any of them after which a text is cut nevertheless: it is no text."""
ADDRESS = re.compile(r"[a-z][a-z0-9+.-]*://\S+", re.IGNORECASE)
USER_IN_TEXT = re.compile(r"(?<=://)[^\s/?#\"'<>\\]*@")
"""Where an address ends is not known in a text: a password with a slash is found in an address."""
PASSWORD = re.compile(r"(?<=[?&]password=)[^\s&#\"'<>\\]*")
RUN = re.compile(r"(experiments/\d+/runs/)?(?<![0-9a-f])([0-9a-f]{32})(?![0-9a-f])")

Change = Callable[[str], str]


def without_credentials(text: str) -> str:
    """A text with no user and no password in any address."""
    if "://" not in text:
        return text
    if ADDRESS.fullmatch(text):
        text = USER.sub("", text)
    return PASSWORD.sub("", USER_IN_TEXT.sub("", text))


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
        _rewrite(source, target, change)
    Path(target.name).replace(path)


def _rewrite(source: IO[bytes], target: IO[bytes], change: Change) -> None:
    left = ""
    while block := source.read(BLOCK):
        # Latin-1 gives every byte back, whatever the encoding; what is looked for is ASCII
        text = left + block.decode("latin-1")
        cut = max(len(text) - LONGEST, *(text.rfind(character) for character in BETWEEN), 0)
        target.write(change(text[:cut]).encode("latin-1"))
        left = text[cut:]
    target.write(change(left).encode("latin-1"))
