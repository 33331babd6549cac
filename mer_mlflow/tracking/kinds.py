"""Kinds of runs, and states of cross-validations."""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """Value of the tag ``mer.kind``."""

    PARENT = "cross-validation"
    FOLD = "fold"
    PREPARE = "prepare"
    REPORT = "report"
    AUGMENT = "augment"
    SEARCH = "search"
    STUDY = "study"
    FIT = "fit"
    TRANSFER = "transfer"


class Status(StrEnum):
    """Value of the tag ``mer.status`` of a parent run.

    Only ``complete`` runs are reported as results. The folds of a ``superseded`` run belong to a
    later run; a ``duplicate`` repeats a complete earlier run; ``pruned`` was stopped by a search.
    """

    RUNNING = "running"
    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    INTERRUPTED = "interrupted"
    SUPERSEDED = "superseded"
    DUPLICATE = "duplicate"
    PRUNED = "pruned"
    FAILED = "failed"
