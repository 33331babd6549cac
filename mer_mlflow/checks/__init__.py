"""Checks for problems that invalidate scores; a module registers checks by declaring ``CHECKS``.

Commands run them first. A finding stops the command, or is a warning that is recorded in runs and
shown in reports.
"""

from mer_mlflow.checks.check import Check, Finding, refuse
from mer_mlflow.checks.columns import ALLOW_COLUMNS, Columns, check_columns
from mer_mlflow.checks.registry import all_checks, get_check, run_checks

__all__ = [
    "ALLOW_COLUMNS",
    "Check",
    "Columns",
    "Finding",
    "all_checks",
    "check_columns",
    "get_check",
    "refuse",
    "run_checks",
]
