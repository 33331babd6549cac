"""Errors that a user can correct; any other exception is a bug and is shown with its traceback."""

from __future__ import annotations


class MerError(Exception):
    """Base class of errors with a message of one line: what is wrong, where, and what to do."""

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(readable(message).splitlines()))


class ParameterError(MerError):
    """A parameter has an invalid value."""


class DatasetError(MerError):
    """The files of a dataset contradict each other or are incomplete."""


class CheckError(MerError):
    """A check found a problem that invalidates scores, and the user did not allow it explicitly."""


class AudioError(MerError):
    """An audio file cannot be decoded."""


class StoreError(MerError):
    """The store of representations cannot be written."""


class WeightsError(MerError):
    """Pretrained weights of a methodology are missing or unusable."""


class ModelError(MerError):
    """A trained model cannot be found, or this version cannot use it."""


class TrackingError(MerError):
    """The tracking store cannot be used."""


class RunDataError(TrackingError):
    """A run in the tracking store has invalid content."""


class MissingArtifactError(RunDataError):
    """A run in the tracking store lacks an artifact."""


class JournalError(TrackingError):
    """A journal of writes to the tracking store cannot be used."""


class UndeliveredError(TrackingError):
    """Results are kept in a journal, because they could not be written to the tracking store."""


class DeletedError(TrackingError):
    """A run or experiment was deleted on the tracking server and cannot be written."""


class RunInProgressError(MerError):
    """Another process is executing the same run."""


class IncompleteError(MerError):
    """Folds of a cross-validation have no result."""


class UntrainableError(MerError):
    """No fold of a cross-validation can be run; a retry would not help."""


class ClusterError(MerError):
    """The connection to a cluster is lost; what was finished is kept."""


class DivergenceError(MerError):
    """Training produced a loss that is not a finite number."""


def readable(text: str) -> str:
    r"""Return a text that can be printed and stored: bytes that are not UTF-8 become ``\xe9``."""
    try:
        content = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        content = text.encode("utf-8", "backslashreplace")
    return content.decode("utf-8", "backslashreplace")


LONGEST_NAME = 10_000
"""Maximum number of characters of a name in a list; two paths have up to 8190."""


def excerpt(text: str, *, most: int = 300) -> str:
    """Return a text for an error message; a long text is cut to its beginning."""
    return text if len(text) <= most else f"{text[:most]}… ({len(text)} characters)"


def listing(names: list[str], *, most: int = 5) -> str:
    """Join names for an error message: the first ones, then how many more there are.

    Names may be whole messages with two paths. They are not cut, because their end says what to do.
    """
    shown = ", ".join(excerpt(name, most=LONGEST_NAME) for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"
