"""Messages about runs and experiments deleted on a tracking server, and how to restore them."""

from __future__ import annotations

import re

INACTIVE = re.compile(r"The (run|experiment) (\S+) must be in the 'active'\s+state")
"""MLflow's error message for a write to a deleted run or experiment."""


def deletion(error: BaseException) -> str | None:
    """Return a message for a deleted run or experiment; None for any other error."""
    found = INACTIVE.search(str(error))
    return None if found is None else f"{deleted(*found.groups())}, and give the same command again"


def deleted(kind: str, name: str) -> str:
    """Return a message that something was deleted, with the command that restores it.

    Parameters
    ----------
    kind : ``run`` or ``experiment``
    name : id of the run or experiment
    """
    return (
        f"{kind} {name} was deleted on the tracking server; restore it with "
        f"`mlflow {kind}s restore --{kind}-id {name}`"
    )
