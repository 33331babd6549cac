"""Registry of the checks: codes that never mean two things, and words that every check has."""

from __future__ import annotations

import re
from dataclasses import dataclass

import pytest

from mer_mlflow.checks import Check, all_checks, get_check, run_checks
from mer_mlflow.checks import registry as module


def test_codes_are_unique_and_every_check_says_what_and_what_to_do() -> None:
    codes = [check.code for check in all_checks()]
    assert codes == sorted(set(codes))
    assert codes[:8] == [f"MER00{i}" for i in range(1, 9)]
    for check in all_checks():
        assert re.fullmatch(r"MER\d{3}", check.code)
        assert check.sentence
        assert check.remedy
        assert get_check(check.code) is check
    assert get_check("MER999") is None


@dataclass(frozen=True, kw_only=True)
class Folds:
    artists: tuple[str, ...]
    place: str = "folds"


def test_a_check_of_another_subject_joins_by_its_declaration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    check = Check(
        code="MER900",
        sentence="is on both sides",
        remedy="group by artist",
        subject=Folds,
        inspect=lambda folds: (each for each in folds.artists if folds.artists.count(each) > 1),
        stops=False,
    )
    known = all_checks()
    monkeypatch.setattr(module, "all_checks", lambda: (*known, check))
    assert run_checks(Folds(artists=("a", "b"))) == ()
    (finding,) = run_checks(Folds(artists=("a", "b", "a")))
    assert str(finding) == "folds: MER900 (is on both sides): a, a; group by artist"
    assert not finding.stops
