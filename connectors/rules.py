"""What must hold among an action's parameters, beyond each of them by itself: checked as written, and as rendered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Given:
    """A mapping to an action's parameters; ``written``: as it stands in the routing table, expressions and all."""

    mapping: Mapping[str, object]
    written: bool = False

    def possibly(self, *names: str) -> list[str]:
        """Return which of the parameters are given for some event."""
        return [name for name in names if self.mapping.get(name) is not None]

    def surely(self, *names: str) -> list[str]:
        """Return which of the parameters are given whatever the event holds: a whole expression may give null."""
        return [name for name in self.possibly(*names) if not (self.written and _is_whole(self.mapping[name]))]

    def knows(self, value: object) -> bool:
        """Return whether a value of the mapping, or within it, is what the action will get."""
        return not (self.written and has_expression(value))


Rule = Callable[[Given, Any], str]
"""Returns what is wrong with the parameters of a call with the destination's settings, ``""`` if nothing is.

The settings are ``None`` where they are not valid themselves.
"""


def has_expression(value: object) -> bool:
    """Return whether a written value holds an expression, so that it is known when it is rendered."""
    return isinstance(value, str) and ("{{" in value or "{%" in value)


def at_most_one(*names: str) -> Rule:
    """Return the rule that no two of the parameters are given together."""

    def rule(given: Given, settings: Any) -> str:
        together = given.surely(*names)
        if len(together) < 2:
            return ""
        which = _listed(together, "and") if names[2:] else "both"
        return f"only one of {_listed(names, 'and')} can be given, not {which}"

    return rule


def at_least_one(*names: str) -> Rule:
    """Return the rule that one of the parameters is given, or several."""
    return lambda given, settings: "" if given.possibly(*names) else f"{_listed(names, 'or')} is missing"


def exactly_one(*names: str) -> Rule:
    """Return the rule that one of the parameters is given, and no other of them."""
    rules = (at_least_one(*names), at_most_one(*names))
    return lambda given, settings: next(filter(None, (rule(given, settings) for rule in rules)), "")


def _is_whole(value: object) -> bool:
    """Return whether a written value may be one whole expression, whose value is of any type."""
    if not isinstance(value, str):
        return False
    text = value.strip()
    return text.startswith("{{") and text.endswith("}}") and text.count("{{") == 1


def _listed(names: list[str] | tuple[str, ...], word: str) -> str:
    *some, last = names
    return f"{', '.join(some)} {word} {last}" if some else last
