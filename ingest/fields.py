"""Ids and types that stand deeper in a body than at its top: ``event.id`` is ``body["event"]["id"]``."""

from __future__ import annotations

from ingest.identity import ID_CHARS_MAX, MalformedEvent, require_text


def value_at(body: object, path: str) -> object:
    """Return what stands at a path of names with dots between, or ``None`` where a part of it is missing."""
    value = body
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return value


def text_at(body: object, path: str, *, required: bool = False) -> str | None:
    """Return the text at ``path``, or ``None`` without it.

    Raises:
        MalformedEvent: it is no text, empty or too long, or is required and missing.
    """
    value = value_at(body, path)
    if value is not None:
        return require_text(value, f"the field {path}")
    if required:
        raise MalformedEvent(f"the field {path} is missing")
    return None


def id_at(body: object, path: str, *, required: bool = False) -> str | None:
    """Return the text or whole number at ``path`` as text, or ``None`` without it.

    Raises:
        MalformedEvent: it is neither, empty or too long, or is required and missing.
    """
    value = value_at(body, path)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**ID_CHARS_MAX:
        return str(value)
    return text_at(body, path, required=required)


def joined_type(first: str | None, second: str | None) -> str | None:
    """Return ``<first>.<second>``, or what is there of both.

    Raises:
        MalformedEvent: it is too long.
    """
    if first is None or second is None:
        return first or second
    return require_text(f"{first}.{second}", "the event's type")


def list_at(body: object, path: str) -> list[object]:
    """Return the list at ``path``.

    Raises:
        MalformedEvent: there is none.
    """
    value = value_at(body, path)
    if not isinstance(value, list):
        raise MalformedEvent(f"the field {path} is missing or no list")
    return value
