"""Mistakes in a routing table: what is wrong, where, and what to write instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

Keys = tuple[str | int, ...]  # where a value is in the table: ("routes", 0, "to")
CANDIDATES_SHOWN_MAX = 12


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake. ``key`` is written ``routes[0].to``; ``line`` counts from 1 and is 0 where there is none."""

    line: int
    key: str
    message: str
    suggestion: str = ""

    def __str__(self) -> str:
        sentence = f"{self.key}: {self.message}" if self.key else self.message
        return f"{sentence} ({self.suggestion})" if self.suggestion else sentence


class ConfigError(Exception):
    """The routing table is not valid: ``mistakes`` holds every one of them, in the order of the file."""

    def __init__(self, path: Path, mistakes: Iterable[Mistake]) -> None:
        self.path = path
        self.mistakes = sorted(mistakes, key=lambda mistake: (mistake.line, mistake.key))
        super().__init__(f"{path}: {count(len(self.mistakes), 'mistake')}")

    def report(self) -> list[str]:
        """Return one line a mistake, as ``file:line: key: sentence (suggestion)``."""
        return [located(self.path, mistake) for mistake in self.mistakes]


def located(path: Path, mistake: Mistake) -> str:
    """Return a mistake as one line that editors can jump to."""
    place = f"{path}:{mistake.line}" if mistake.line else str(path)
    return f"{place}: {mistake}"


def written(keys: Keys) -> str:
    """Return keys as ``routes[0].with.json``."""
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else f".{key}" if text else key
    return text


def closest(name: object, candidates: Iterable[str], *, kind: str = "known") -> str:
    """Return a suggestion: the candidate most like ``name``, else all of them if they are few."""
    candidates = sorted(candidates)
    found = difflib.get_close_matches(str(name), candidates, n=1, cutoff=0.6)
    if found:
        return f"did you mean {found[0]!r}?"
    if not candidates:
        return ""
    more = ", …" if len(candidates) > CANDIDATES_SHOWN_MAX else ""
    return f"{kind}: {', '.join(candidates[:CANDIDATES_SHOWN_MAX])}{more}"


def count(number: int, noun: str) -> str:
    """Return ``1 mistake`` or ``2 mistakes``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
