"""What is peculiar to the answers of one service: which mean something else than their status, and where it says so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from connectors.answers import Meaning, Rule

if TYPE_CHECKING:
    from connectors.answer import Answer

ANY_CODE = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class Exceptional:
    """Answers of a status from ``first`` to ``last`` with one of these error codes of the service, and their meaning.

    Without ``codes`` the status alone decides; with `ANY_CODE` any code but none.
    """

    first: int
    last: int
    meaning: Meaning
    because: str
    codes: frozenset[str] = frozenset()

    def fits(self, status: int, code: str) -> bool:
        """Return whether this row decides about an answer."""
        if not self.first <= status <= self.last:
            return False
        return not self.codes or code in self.codes or (self.codes is ANY_CODE and code != "")


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a service tells what went wrong, where that is not by HTTP's rules.

    ``code`` returns the service's error code for an answer of any status, ``""`` if there is none; people see it.
    ``wait_s`` returns the seconds that it asks for outside of the usual headers, or None. Both are given answers that
    may hold anything. The first of ``rules`` that fits decides, then `connectors.answers.RULES`.
    """

    rules: tuple[Exceptional, ...] = ()
    code: Callable[[Answer], str] = lambda answer: ""
    wait_s: Callable[[Answer, float], float | None] = lambda answer, now_s: None

    def rule_for(self, answer: Answer) -> Rule | None:
        """Return the rule that decides in place of the common table; None if that one holds."""
        if not self.rules:
            return None
        code = self.code(answer)
        row = next((row for row in self.rules if row.fits(answer.status, code)), None)
        return None if row is None else Rule(row.first, row.last, row.meaning, row.because)


def said_at(answer: Answer, *path: str) -> object:
    """Return what stands at ``path`` in an answer's JSON; None if it is not JSON, or nothing stands there."""
    value = answer.parsed
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def code_at(*path: str) -> Callable[[Answer], str]:
    """Return a reader of the error code that stands at ``path`` in an answer's JSON, as text or a whole number."""

    def read(answer: Answer) -> str:
        value = said_at(answer, *path)
        return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""

    return read


def number_at(answer: Answer, *path: str) -> float | None:
    """Return the number that stands at ``path`` in an answer's JSON, if there is one between 0 and a day's seconds."""
    value = said_at(answer, *path)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 86_400:
        return None
    return float(value)
