"""Findings of checks as tags of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mer_mlflow.checks import Finding
from mer_mlflow.errors import listing
from mer_mlflow.tracking import schema

MOST_NAMES, MOST_LETTERS = 20, 100
"""Maximum number of names in a tag, and of characters of a name."""


def finding_tags(findings: Iterable[Finding]) -> dict[str, str]:
    """Return tags with the findings of each check, and with the allowed columns."""
    named: dict[str, list[str]] = {}
    for finding in findings:
        named.setdefault(f"{schema.CHECK}{finding.check.code}", []).extend(finding.names)
        if finding.is_allowed:
            named.setdefault(schema.ALLOWED_COLUMNS, []).extend(finding.names)
    return {tag: _bounded(names) for tag, names in named.items()}


def read_findings(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the code of each check with a finding, and the names in it, from a run's tags."""
    for tag in sorted(tags):
        if tag.startswith(schema.CHECK):
            yield tag.removeprefix(schema.CHECK), tags[tag]


def _bounded(names: Iterable[str]) -> str:
    return listing([name[:MOST_LETTERS] for name in dict.fromkeys(names)], most=MOST_NAMES)
