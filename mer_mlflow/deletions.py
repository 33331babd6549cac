"""Deletions: what was deleted on a tracking server, and the command that restores it."""

from __future__ import annotations

import re

INACTIVE = re.compile(r"The (run|experiment) (\S+) must be in the 'active'\s+state")
"""What MLflow says of a deleted run or experiment that is written to."""


def deletion(error: BaseException) -> str | None:
    """What to say to a user whose run or experiment was deleted; None for any other error."""
    found = INACTIVE.search(str(error))
    return None if found is None else f"{deleted(*found.groups())}, and give the same command again"


def deleted(kind: str, name: str) -> str:
    """Say that something was deleted, and how it is restored.

    Parameters
    ----------
    kind : ``run`` or ``experiment``
    name : its id
    """
    return (
        f"{kind} {name} was deleted on the tracking server; restore it with "
        f"`mlflow {kind}s restore --{kind}-id {name}`"
    )
