"""What a dataset module declares, and what reading it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mer_mlflow.datasets.clips import Clips


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A dataset as read from its files.

    Attributes
    ----------
    clips : the labelled clips
    errors : contradictions, each of which makes the dataset unusable
    warnings : findings that leave it usable, such as files without a label
    encodings : encoding of each CSV file that was read
    """

    clips: Clips
    errors: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    encodings: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """Declaration of a dataset.

    Attributes
    ----------
    name : as users type it
    title : as tables print it
    summary : one sentence
    citation : who to cite
    licence : terms of use
    published_counts : clips of each quadrant as published, None where nothing is published
    needs_root : whether the user must say where the files are
    read : reads the files below a data root
    archive : folder that the published archive unpacks to, by which a folder that holds several
        datasets is known; empty where nothing is published
    """

    name: str
    title: str
    summary: str
    citation: str
    licence: str
    published_counts: Mapping[str, int] | None
    needs_root: bool
    read: Callable[[Path | None], Reading]
    archive: str = ""
