"""Who an event is, and the checks that an id and a type must pass."""

from __future__ import annotations

from dataclasses import dataclass

from ingest.signature import SignedRequest

ID_CHARS_MAX = 256  # it becomes a Kafka key, a row of `seen` and a header of every call

REPLACEMENT = "\ufffd"  # what stands for bytes or escapes that are no character


class MalformedEvent(ValueError):
    """A field that the event needs is missing or of the wrong kind. The text names the field, never its value."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an event is, by its provider. ``event_id`` is ``None`` where the provider gives none.

    ``id_signed`` says whether the signature covers the id; else another body could claim it.
    """

    event_id: str | None
    event_type: str | None
    id_signed: bool


def text_header(request: SignedRequest, name: str) -> str | None:
    """Return a header as text, or ``None`` without it.

    Raises:
        MalformedEvent: it is repeated, empty, too long or not UTF-8.
    """
    values = request.values(name.encode())
    if not values:
        return None
    if len(values) > 1:
        raise MalformedEvent(f"the header {name} is repeated")
    try:
        return require_text(values[0].decode(), f"the header {name}")
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"the header {name} is not UTF-8") from error


def text_field(body: object, name: str, *, required: bool = False) -> str | None:
    """Return the body's top-level field ``name`` as text, or ``None`` without it.

    Raises:
        MalformedEvent: the field is no text, empty or too long, or is required and missing.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if value is not None:
        return require_text(value, f"the field {name}")
    if required:
        raise MalformedEvent(f"the field {name} is missing")
    return None


def id_field(body: object, name: str, *, required: bool = False) -> str | None:
    """Return the body's top-level field ``name``, text or a whole number, as text, or ``None`` without it.

    Raises:
        MalformedEvent: the field is neither, empty or too long, or is required and missing.
    """
    value = body.get(name) if isinstance(body, dict) else None
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**ID_CHARS_MAX:
        return str(value)
    return text_field(body, name, required=required)


def require_text(value: object, what: str) -> str:
    """Return ``value`` if it is text that can be an id or a type.

    Raises:
        MalformedEvent: it is no text, empty, too long, or cannot be encoded.
    """
    if not isinstance(value, str):
        raise MalformedEvent(f"{what} is not text")
    if not value or len(value) > ID_CHARS_MAX:
        raise MalformedEvent(f"{what} is empty or longer than {ID_CHARS_MAX} characters")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise MalformedEvent(f"{what} is not valid Unicode") from error
    if REPLACEMENT in value:  # two ids could have become one
        raise MalformedEvent(f"{what} has what could not be read")
    return value
