"""Texts in expressions, written in another way: hashes, Base64, JSON and slugs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus

import orjson

SLUG_CHARS_MAX = 200


class UrlPart(str):
    """A text that is percent-encoded already."""

    __slots__ = ()


def sha256(text: object) -> str:
    """Return the hex SHA-256 of a text's UTF-8."""
    return hashlib.sha256(_bytes(text)).hexdigest()


def sha512(text: object) -> str:
    """Return the hex SHA-512 of a text's UTF-8."""
    return hashlib.sha512(_bytes(text)).hexdigest()


def sha1(text: object) -> str:
    """Return the hex SHA-1 of a text's UTF-8: for services that ask for it, not for security."""
    return hashlib.sha1(_bytes(text), usedforsecurity=False).hexdigest()


def md5(text: object) -> str:
    """Return the hex MD5 of a text's UTF-8: for services that ask for it, such as avatars, not for security."""
    return hashlib.md5(_bytes(text), usedforsecurity=False).hexdigest()


def to_base64(text: object, *, url: bool = False) -> str:
    """Return the Base64 of a text's UTF-8; with ``url`` in the alphabet for URLs and without padding (RFC 4648)."""
    if url:
        return base64.urlsafe_b64encode(_bytes(text)).decode().rstrip("=")
    return base64.b64encode(_bytes(text)).decode()


def from_base64(text: object) -> str:
    """Return the text whose UTF-8 is given in Base64, in either alphabet, padded or not.

    Raises:
        ValueError: it is not Base64, or not the Base64 of text.
    """
    plain = _bytes(text).translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
    try:
        return base64.b64decode(plain + b"=" * (-len(plain) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ValueError("not the Base64 of a text") from None


def to_url_part(value: object) -> UrlPart:
    """Return a text percent-encoded, as one part of a path: a slash too, or an event could choose another path.

    A mapping, or a list of pairs, becomes a query, as Jinja2 has it.

    Raises:
        ValueError: it is a list of something else, or UTF-8 cannot encode it.
    """
    if isinstance(value, str) or not isinstance(value, Iterable):
        return UrlPart(quote(str(value), safe=""))
    pairs: Iterable[Any] = value.items() if isinstance(value, Mapping) else value
    return UrlPart("&".join(f"{quote_plus(str(name))}={quote_plus(str(item))}" for name, item in pairs))


def in_url_path(value: object) -> UrlPart:
    """Return a value as one part of a path, percent-encoded if it is not yet.

    Raises:
        ValueError: nothing would stand there, so that the path were another one; or it is no single value.
    """
    if value is None or value == "" or (isinstance(value, Iterable) and not isinstance(value, str)):
        raise ValueError("a part of a path is a text or a number, not null or empty, no list and no mapping")
    return value if isinstance(value, UrlPart) else to_url_part(value)


def to_json(value: object) -> str:
    """Return the value as compact JSON.

    Raises:
        ValueError: it holds what JSON lacks.
    """
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:
        raise ValueError("the value holds what JSON lacks") from None


def to_json_for_html(value: object) -> str:
    """Return the value as JSON that can stand in HTML: ``<``, ``>``, ``&``, ``'`` escaped; raises as `to_json`."""
    text = to_json(value)
    for character in "<>&'":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def from_json(text: object) -> object:
    """Return the value that a text holds as JSON.

    Raises:
        ValueError: it does not.
    """
    try:
        return orjson.loads(_bytes(text))
    except orjson.JSONDecodeError:
        raise ValueError("not valid JSON") from None


def slug(text: object) -> str:
    """Return a text as part of an address: ``Łódź, 2. Etage`` is ``lodz-2-etage``; at most 200 characters."""
    if not isinstance(text, str | int):
        raise TypeError("not a text")
    plain = str(text).translate(_LETTERS)
    ascii_ = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_)[:SLUG_CHARS_MAX].strip("-")


# Letters that do not decompose into an ASCII letter and a mark.
_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "ae", "œ": "oe", "Œ": "oe", "ø": "o", "Ø": "o", "ł": "l", "Ł": "l", "đ": "d", "Đ": "d"}
)


def _bytes(text: object) -> bytes:
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise TypeError("not a text")
    return str(text).encode("utf-8", "surrogatepass")
