"""A finding: one thing that was looked at, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warning", "error"]


@dataclass(frozen=True, slots=True)
class Finding:
    """``check`` is a fixed word for programs; ``advice`` is empty where all is well."""

    check: str
    level: Level
    message: str
    advice: str = ""

    def __str__(self) -> str:
        line = f"{self.level:<8} {self.check}: {self.message}"
        return f"{line}\n         → {self.advice}" if self.advice else line


def ok(check: str, message: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", message)


def warning(check: str, message: str, advice: str) -> Finding:
    """Return what works and may not always."""
    return Finding(check, "warning", message, advice)


def error(check: str, message: str, advice: str) -> Finding:
    """Return what does not work."""
    return Finding(check, "error", message, advice)
