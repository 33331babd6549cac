"""Declaration of a dataset, and the result of reading it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mer_mlflow.datasets.clips import Clips


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A dataset as read from its files.

    Attributes
    ----------
    clips : the labelled clips
    errors : contradictions; the dataset is unusable if there are any
    warnings : problems that leave it usable, such as files without a label
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
    name : name in commands
    title : name in tables
    summary : one sentence
    citation : publications to cite
    licence : terms of use
    published_counts : published number of clips of each quadrant, None if not published
    needs_root : whether the user must give a data root
    read : function that reads the files below a data root
    archive : name of the folder in the published archive; identifies the dataset in a folder with
        several datasets. Empty if nothing is published
    has_scale : whether ``read`` has an argument ``av_scale``, the scale of arousal and valence
    catalogue : where its ids come from: in datasets of the same catalogue, the same id means the
        same recording. Empty if its ids are its own
    """

    name: str
    title: str
    summary: str
    citation: str
    licence: str
    published_counts: Mapping[str, int] | None
    needs_root: bool
    read: Callable[..., Reading]
    archive: str = ""
    has_scale: bool = False
    catalogue: str = ""
