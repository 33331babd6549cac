"""Registry of the checks."""

from __future__ import annotations

import pkgutil
from functools import cache
from importlib import import_module
from pathlib import Path

from mer_mlflow.checks.check import Check, Finding, Subject


@cache
def all_checks() -> tuple[Check[Subject], ...]:
    """Return all declared checks, sorted by code."""
    modules = [
        import_module(f"{__package__}.{info.name}")
        for info in pkgutil.iter_modules([str(Path(__file__).parent)])
    ]
    declared = [check for module in modules for check in getattr(module, "CHECKS", ())]
    return tuple(sorted(declared, key=lambda check: check.code))


def get_check(code: str) -> Check[Subject] | None:
    """Return the check with a code; None if unknown, such as in runs of other versions."""
    return next((check for check in all_checks() if check.code == code), None)


def run_checks(subject: Subject) -> tuple[Finding, ...]:
    """Run all checks for this kind of subject.

    Parameters
    ----------
    subject : object to check, such as :class:`mer_mlflow.checks.Columns`

    Returns
    -------
    a finding for each failed check, sorted by code
    """
    named = (
        (check, tuple(check.inspect(subject)))
        for check in all_checks()
        if check.subject is type(subject)
    )
    return tuple(
        Finding(check=check, place=subject.place, names=names) for check, names in named if names
    )
