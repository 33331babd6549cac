"""Declaration of checks, and their findings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from mer_mlflow.errors import CheckError, listing

MOST_NAMES = 100
"""Maximum number of names in a message."""


class Subject(Protocol):
    """Object that checks inspect; each kind is a separate dataclass."""

    @property
    def place(self) -> str:
        """Description of its location, for messages."""


S = TypeVar("S", bound=Subject)


@dataclass(frozen=True, kw_only=True)
class Check(Generic[S]):
    """Declaration of a check.

    Attributes
    ----------
    code : ``MER`` and three digits, never reused for another check
    sentence : the problem, as an English predicate
    remedy : what to do, in the imperative
    subject : class of the objects that it inspects
    inspect : pure function that yields the names of the faulty parts of a subject, in order
    stops : whether a finding that is not allowed stops a command
    """

    code: str
    sentence: str
    remedy: str
    subject: type[S]
    inspect: Callable[[S], Iterable[str]]
    stops: bool = True


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Result of a check.

    Attributes
    ----------
    check : the check
    place : location, such as a table of a dataset
    names : names of the faulty parts
    is_allowed : whether the user allowed it explicitly
    """

    check: Check[Subject]
    place: str
    names: tuple[str, ...]
    is_allowed: bool = False

    @property
    def stops(self) -> bool:
        """Whether the finding stops a command."""
        return self.check.stops and not self.is_allowed

    def __str__(self) -> str:
        return f"{self.place}: {self.named}; {'allowed' if self.is_allowed else self.check.remedy}"

    @property
    def named(self) -> str:
        """Text with code, sentence and names."""
        names = listing(list(self.names), most=MOST_NAMES)
        return f"{self.check.code} ({self.check.sentence}): {names}"


def refuse(findings: Sequence[Finding], *, allow: str) -> None:
    """Raise an error if findings stop a command.

    Parameters
    ----------
    findings : findings of any checks
    allow : advice on how to allow them, for the error message

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
