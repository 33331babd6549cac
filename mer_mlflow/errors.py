"""Errors that a user can correct; everything else is a bug and keeps its traceback."""

from __future__ import annotations


class MerError(Exception):
    """Root of the errors that name what is wrong, where, and what to do, in one line."""

    def __init__(self, words: str) -> None:
        super().__init__(" ".join(readable(words).splitlines()))


class ParameterError(MerError):
    """A parameter has a value that the project cannot work with."""


class DatasetError(MerError):
    """A dataset's files contradict each other, or miss what the work needs."""


class CheckError(MerError):
    """A check found what would make a score worthless, and nobody said that it is meant."""


class AudioError(MerError):
    """An audio file cannot be decoded."""


class StoreError(MerError):
    """The store of representations cannot be written."""


class WeightsError(MerError):
    """A methodology needs pretrained weights that are not there."""


class TrackingError(MerError):
    """The tracking store cannot be used."""


class RunDataError(TrackingError):
    """A run of the tracking store holds what no run of this project holds."""


class MissingArtifactError(RunDataError):
    """A run of the tracking store lacks an artifact."""


class JournalError(TrackingError):
    """A journal of writes to the tracking store cannot be used."""


class UndeliveredError(TrackingError):
    """Results wait in a journal, because the tracking store did not take them."""


class DeletedError(TrackingError):
    """A run or an experiment that is written to was deleted on the tracking server."""


class RunInProgressError(MerError):
    """The same run is being worked on by another process."""


class IncompleteError(MerError):
    """Folds of a cross-validation have no result."""


class UntrainableError(MerError):
    """No fold of a cross-validation can be run, however often it is tried."""


class DivergenceError(MerError):
    """Training produced a loss that is not a finite number."""


def readable(text: str) -> str:
    r"""Text that can be printed and stored: bytes of a file name that are no UTF-8 as ``\xe9``."""
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        content = text.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


LONGEST_NAME = 10_000
"""Characters of a name in a list; two paths have up to 8190."""


def excerpt(text: str, *, most: int = 300) -> str:
    """Text as an error message has it: of a long one only its beginning."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def listing(names: list[str], *, most: int = 5) -> str:
    """Join names for an error message: the first ones, then how many more there are.

    Names may be whole messages with two paths, whose ends say what to do: these are not cut.
    """
    shown = ", ".join(excerpt(name, most=LONGEST_NAME) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
