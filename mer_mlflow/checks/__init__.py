"""Coded checks of what stands against a score; every module that declares ``CHECKS`` adds some.

Commands run them before anything else: what a check finds stops a command, or is a warning that
runs keep and reports show.
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
