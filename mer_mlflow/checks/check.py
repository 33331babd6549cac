"""What a check is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mer_mlflow.errors import CheckError, listing

MOST_NAMES = 100
"""Names that a message lists."""


class Subject(Protocol):
    """What checks inspect; each kind is a dataclass of its own."""

    @property
    def place(self) -> str:
        """Where it is, in words."""


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, kw_only=True)
class Check(Generic[S]):
    """Declaration of a check.

    Attributes
    ----------
    code : ``MER`` and three digits, never given to another check
    sentence : what is wrong with that which it names, as an English predicate
    remedy : what to do, in the imperative
    subject : class of what it inspects
    inspect : names what is wrong in a subject, in its order; a pure function
    stops : whether a command stops where something is found that is not allowed
    """

    code: str
    sentence: str
    remedy: str
    subject: type[S]
    inspect: Callable[[S], Iterable[str]]
    stops: bool = True


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What a check found.

    Attributes
    ----------
    check : the check
    place : where, such as a dataset's table
    names : what it names there
    is_allowed : whether the user said that it is meant
    """

    check: Check[Subject]
    place: str
    names: tuple[str, ...]
    is_allowed: bool = False

    @property
    def stops(self) -> bool:
        """Whether a command must stop."""
        return self.check.stops and not self.is_allowed

    def __str__(self) -> str:
        return f"{self.place}: {self.named}; {'allowed' if self.is_allowed else self.check.remedy}"

    @property
    def named(self) -> str:
        """Code, sentence and names."""
        names = listing(list(self.names), most=MOST_NAMES)
        return f"{self.check.code} ({self.check.sentence}): {names}"


def refuse(findings: Sequence[Finding], *, allow: str) -> None:
    """Raise an error that names all findings which stop a command.

    Parameters
    ----------
    findings : of any checks
    allow : what to do where they are meant

    Raises
    ------
    CheckError
        If there is such a finding.
    """
    found = [finding for finding in findings if finding.stops]
    if not found:
        return
    places = dict.fromkeys(finding.place for finding in found)
    parts = [
        f"{place}: " + "; ".join(each.named for each in found if each.place == place)
        for place in places
    ]
    remedies = " and ".join(dict.fromkeys(finding.check.remedy for finding in found))
    raise CheckError(f"{'; '.join(parts)}; {remedies}, {allow}")
