"""What checks found, as tags of a run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from mer_mlflow.checks import Finding
from mer_mlflow.errors import listing
from mer_mlflow.tracking import schema

MOST_NAMES, MOST_LETTERS = 20, 100
"""Names of a tag, and letters of a name: a tag has an end."""


def finding_tags(findings: Iterable[Finding]) -> dict[str, str]:
    """Tags of a run: what each check named, and which columns are read in spite of a check."""
    named: dict[str, list[str]] = {}
    for finding in findings:
        named.setdefault(f"{schema.CHECK}{finding.check.code}", []).extend(finding.names)
        if finding.is_allowed:
            named.setdefault(schema.ALLOWED_COLUMNS, []).extend(finding.names)
    return {tag: _bounded(names) for tag, names in named.items()}


def read_findings(tags: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Code of each check that found something, and what it named, from a run's tags."""
    for tag in sorted(tags):
        if tag.startswith(schema.CHECK):
            yield tag.removeprefix(schema.CHECK), tags[tag]


def _bounded(names: Iterable[str]) -> str:
    return listing([name[:MOST_LETTERS] for name in dict.fromkeys(names)], most=MOST_NAMES)
