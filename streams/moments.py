"""Moments in expressions: read, moved and written. Each filter takes ISO 8601 text or a Unix time, and gives the like.

There is no "now": every attempt renders the same. ``event.time`` is when the event was accepted.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]{1,9})?)?"
    r"(?: ?(?:[Zz]|[+-][0-9]{2}(?::?[0-9]{2})?))?)?",
    re.ASCII,
)
_NUMBER = re.compile(r"-?[0-9]{1,14}(?:\.[0-9]{1,9})?", re.ASCII)
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]{0,30}(?:/[A-Za-z0-9_+-]{1,30}){0,2}", re.ASCII)
_DIRECTIVES = frozenset("aAbBdfHIjmMpSuVGyYzZ%")
_MILLISECONDS_FROM = 1e11  # a Unix time of seconds is smaller for the next three thousand years
TEXT_CHARS_MAX = 100


def iso(moment: object, zone: str = "UTC") -> str:
    """Return the moment as ISO 8601 text in ``zone``: ``2026-01-02T04:04:05+01:00``, with ``Z`` for UTC.

    Raises:
        ValueError: it is no moment, or has no offset (`parse_moment` says where it belongs).
    """
    return _written(_read(moment).astimezone(_zone(zone)))


def parse_moment(text: object, format: str = "", zone: str = "UTC") -> str:  # noqa: A002  the filter's parameter
    """Return a moment that is written in ``format``, or ISO 8601 without an offset, in ``zone``, as ISO 8601 text.

    Raises:
        ValueError: the text has another form.
    """
    place = _zone(zone)
    if not format:
        return _written(_read(text, place).astimezone(place))
    if not isinstance(text, str) or len(text) > TEXT_CHARS_MAX:
        raise ValueError("the time is not a short text")
    _check_format(format)
    try:
        found = datetime.strptime(text, format)
    except ValueError:
        raise ValueError(f"the time is not written as {format}") from None
    return _written(found.replace(tzinfo=place) if found.tzinfo is None else found.astimezone(place))


def format_moment(moment: object, format: str, zone: str = "UTC") -> str:  # noqa: A002  the filter's parameter
    """Return the moment in ``zone`` as ``format`` says, with the directives of Python's ``strftime``, in English.

    Raises:
        ValueError: it is no moment, or the format holds another directive.
    """
    _check_format(format)
    return _read(moment).astimezone(_zone(zone)).strftime(format)


def add_time(
    moment: object, *, weeks: float = 0, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0
) -> str:
    """Return the moment so much later (or earlier), with the offset that it has.

    Raises:
        ValueError: it is no moment, or the result is beyond the years 1 to 9999.
    """
    begun = _read(moment)
    try:
        return _written(begun + timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds))
    except (OverflowError, TypeError):
        raise ValueError("the time cannot be moved by that") from None


def unix(moment: object) -> int | float:
    """Return the moment in Unix seconds, a whole number if it has no fraction; raises as `iso`."""
    seconds = _read(moment).timestamp()
    return int(seconds) if seconds == int(seconds) else seconds


def unix_ms(moment: object) -> int:
    """Return the moment in whole Unix milliseconds; raises as `iso`."""
    return (_read(moment) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _read(moment: object, zone: tzinfo | None = None) -> datetime:
    if isinstance(moment, bool) or not isinstance(moment, int | float | str):
        raise TypeError("the time is neither ISO 8601 text nor a Unix time")
    text = str(moment) if not isinstance(moment, float) else format(moment, ".6f")
    if len(text) <= TEXT_CHARS_MAX and _NUMBER.fullmatch(text):
        number = float(text)
        try:
            return datetime.fromtimestamp(number / 1000 if abs(number) >= _MILLISECONDS_FROM else number, UTC)
        except (OverflowError, OSError, ValueError):
            raise ValueError("the time is beyond the years 1 to 9999") from None
    if len(text) > TEXT_CHARS_MAX or _ISO.fullmatch(text) is None:
        raise ValueError("the time is neither ISO 8601 text nor a Unix time")
    try:
        found = datetime.fromisoformat(_to_microseconds(text.replace(" +", "+").replace(" Z", "Z").replace(",", ".")))
    except ValueError:
        raise ValueError("there is no such date or time") from None
    if found.tzinfo is not None:
        return found
    if zone is None:
        raise ValueError("the time has no offset: parse_time(zone=…) says where it belongs")
    return found.replace(tzinfo=zone)


def _to_microseconds(text: str) -> str:
    """Cut a fraction to six digits, the most that Python reads."""
    return re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text)


def _written(moment: datetime) -> str:
    text = moment.isoformat(timespec="milliseconds" if moment.microsecond else "seconds")
    return text.removesuffix("+00:00") + "Z" if text.endswith("+00:00") else text


def _zone(name: str) -> tzinfo:
    if name == "UTC":
        return UTC
    if not isinstance(name, str) or _ZONE.fullmatch(name) is None:
        raise ValueError("the zone is not a name such as Europe/Berlin")
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("there is no zone of this name, or the machine has no time zones (Debian: tzdata)") from None


def _check_format(format: str) -> None:  # noqa: A002  as the filter calls it
    """Refuse what the C library reads beyond plain directives, such as widths of a gigabyte."""
    if not isinstance(format, str) or len(format) > TEXT_CHARS_MAX:
        raise ValueError("the format is not a short text")
    for directive in re.findall(r"%(.?)", format, re.DOTALL):
        if directive not in _DIRECTIVES or not directive:
            raise ValueError(f"the format holds the unknown directive %{directive}")
