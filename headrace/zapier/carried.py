"""A step of a Zap, carried over: what a destination and a route are made of, and what a person must know about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.zapier.credentials import is_credential_name, looks_like_credential
from headrace.zapier.references import Outputs, Untranslatable, has_reference, translate


@dataclass
class Carried:
    """A step, carried over: a destination's settings and a route's action. ``notes`` are for a person to read."""

    connector: str
    settings: dict[str, object]
    action: str
    parameters: dict[str, object]
    notes: list[str] = field(default_factory=list)
    credentials_left_out: bool = False

    def leave_out(self, note: str) -> None:
        """Note that a credential was left out: the call will not work until somebody names its variable."""
        self.notes.append(note)
        self.credentials_left_out = True


class Variables:
    """Names for environment variables: one for each credential, the same for the same one."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self.credentials: set[str] = set()

    def name(self, service: str, ending: str, identity: str) -> str:
        """Return the variable for a credential, which ``identity`` tells from others of the service."""
        found = self._names.get((ending, identity))
        if found is None:
            stem = re.sub(r"[^A-Z]+", "_", service.upper()).strip("_") or "DESTINATION"
            taken = set(self._names.values())
            endings = (f"{ending}{number}" for number in ("", *(f"_{chr(c)}" for c in range(66, 91))))
            names = (f"{stem}_{ending}" for ending in endings)
            found = next((name for name in names if name not in taken), f"{stem}_{ending}_{len(taken)}")
            self._names[ending, identity] = found
        return found

    def keep_out(self, value: object) -> None:
        """Note a credential that must not come out of this anywhere."""
        if isinstance(value, str) and value.strip():
            self.credentials.add(value.strip())


def value_of(name: str, value: object, outputs: Outputs, found: Carried | None = None) -> object:
    """Return a parameter's value as a template; ``None``, with a note, for one that may be a credential.

    Raises:
        Untranslatable: it refers to what is not in the event, or may be a credential and nobody can be told.
    """
    if isinstance(value, Mapping):
        return {str(key): value_of(str(key), item, outputs, found) for key, item in value.items()}
    if isinstance(value, list):
        return [value_of(name, item, outputs, found) for item in value]
    if not isinstance(value, str):
        return value
    literal = not has_reference(value)
    if looks_like_credential(value) or (literal and value and is_credential_name(name)):
        if found is None:
            raise Untranslatable(f"the parameter {safe_name(name)} may hold a credential")
        found.leave_out(f"the field {safe_name(name)} may hold a credential and was left out")
        return None
    return translate(value, outputs)


def safe_name(name: str) -> str:
    """Return a name that somebody typed as it can be shown: short, on one line, and no credential itself."""
    shown = "".join(letter if letter.isprintable() else " " for letter in name)[:60]
    return "(a name like a credential)" if looks_like_credential(shown) else repr(shown)


def left_out(names: Iterable[object]) -> list[str]:
    """Return a note on parameters that were not carried over, if there are any."""
    shown = [safe_name(str(name)) for name in names]
    return [f"not carried over: {', '.join(shown[:12])}"] if shown else []
