"""A request as its signature sees it, and the checks that schemes are made of.

Everything compares bytes, in constant time, and raises nothing but `InvalidSignature`, whatever the request holds.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from urllib.parse import parse_qsl

from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody, parse_body

Algorithm = Literal["sha1", "sha256", "sha384", "sha512"]

SIGNATURES_MAX = 50  # in one header: a provider sends one for each live secret
QUERY_FIELDS_MAX = 100
INFLATED_BYTES_MAX = 1024 * 1024  # of a body that is read before its signature is known

# The RFC 3339 year 33658: longer numbers are no Unix time. fullmatch on bytes: no sign, no "_", no other digits.
_UNIX_TIME = re.compile(rb"[0-9]{1,12}")
_UNIX_TIME_MS = re.compile(rb"[0-9]{1,15}")
_RFC_3339 = re.compile(
    rb"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:[0-9]{2})"
)


class InvalidSignature(Exception):
    """The request is not proven to be from the source. The text is for the operator, never for the sender."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """A request exactly as received: ``headers`` has lower-case names, repeated ones included; all bytes are raw.

    ``url`` is the request's target, path and query as they came; ``public_url`` the whole address as the provider
    called it (see `ingest.public_url`). ``body_bytes_max`` bounds what `parsed_body` inflates.
    """

    method: str
    url: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes
    public_url: str = ""
    body_bytes_max: int = INFLATED_BYTES_MAX

    def header(self, name: str) -> bytes:
        """Return the value of a header that must be there exactly once.

        Raises:
            InvalidSignature: it is missing or repeated. A repeated one could show this check one value and a
                proxy another.
        """
        value = self.optional_header(name)
        if value is None:
            raise InvalidSignature(f"the header {name} is missing")
        return value

    def optional_header(self, name: str) -> bytes | None:
        """Return the header's value, or ``None`` without it.

        Raises:
            InvalidSignature: it is repeated.
        """
        values = self.values(name.encode())
        if len(values) > 1:
            raise InvalidSignature(f"the header {name} is repeated")
        return values[0] if values else None

    def values(self, name: bytes) -> list[bytes]:
        """Return every value of a header, in the order received."""
        return [value for key, value in self.headers if key == name]

    def query(self) -> list[tuple[str, str]]:
        """Return the parameters of the address, decoded, in the order received. Only a signature can vouch for them.

        Raises:
            InvalidSignature: they are not UTF-8, or too many.
        """
        text = self.url.partition("#")[0].partition("?")[2]
        try:
            return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=QUERY_FIELDS_MAX)
        except ValueError as error:
            raise InvalidSignature("the query of the address cannot be read") from error

    def parameter(self, name: str) -> str | None:
        """Return the parameter of this name in the address, or ``None`` without it.

        Raises:
            InvalidSignature: it is repeated, or the query cannot be read.
        """
        values = [value for key, value in self.query() if key == name]
        if len(values) > 1:
            raise InvalidSignature(f"the parameter {name} is repeated")
        return values[0] if values else None

    def parsed_body(self) -> object:
        """Return the body by its content type, as expressions see it: for a signature that is within the body.

        Raises:
            InvalidSignature: it cannot be read.
        """
        content_type = self.optional_header("content-type") or b""
        content_encoding = self.optional_header("content-encoding") or b""
        try:
            return parse_body(
                self.body,
                content_type.decode("ascii"),
                content_encoding.decode("ascii"),
                body_bytes_max=self.body_bytes_max,
            )
        except (MalformedBody, UnsupportedBody, BodyTooLarge, UnicodeDecodeError) as error:
            raise InvalidSignature("the body cannot be read") from error


def require_fresh(timestamp: bytes, *, now_s: float, age_s_max: float) -> None:
    """Return only if ``timestamp``, Unix seconds in ASCII digits, is within ``age_s_max`` of now, before or after.

    Raises:
        InvalidSignature: it is not such a number, or is older or newer.
    """
    if _UNIX_TIME.fullmatch(timestamp) is None:
        raise InvalidSignature("the timestamp is not a number of seconds")
    require_recent(int(timestamp), now_s=now_s, age_s_max=age_s_max)


def require_fresh_ms(timestamp: bytes, *, now_s: float, age_s_max: float) -> None:
    """Return only if ``timestamp``, Unix milliseconds in ASCII digits, is within ``age_s_max`` of now.

    Raises:
        InvalidSignature: it is not such a number, or is older or newer.
    """
    if _UNIX_TIME_MS.fullmatch(timestamp) is None:
        raise InvalidSignature("the timestamp is not a number of milliseconds")
    require_recent(int(timestamp) / 1000, now_s=now_s, age_s_max=age_s_max)


def require_fresh_rfc3339(timestamp: bytes, *, now_s: float, age_s_max: float) -> None:
    """Return only if ``timestamp``, an RFC 3339 time with an offset, is within ``age_s_max`` of now.

    Raises:
        InvalidSignature: it is not such a time, or is older or newer.
    """
    match = _RFC_3339.fullmatch(timestamp)
    if match is None:
        raise InvalidSignature("the timestamp is not an RFC 3339 time")
    fraction = (match[2] or b"0").decode()[:6].ljust(6, "0")
    try:
        time = datetime.fromisoformat(f"{match[1].decode()}.{fraction}{match[3].decode()}")
    except ValueError as error:
        raise InvalidSignature("the timestamp is no time of the calendar") from error
    require_recent(time.timestamp(), now_s=now_s, age_s_max=age_s_max)


def require_recent(time_s: float, *, now_s: float, age_s_max: float) -> None:
    """Return only if the Unix time ``time_s`` is within ``age_s_max`` of now, before or after.

    Raises:
        InvalidSignature: it is older or newer.
    """
    age_s = now_s - time_s
    if age_s > age_s_max:
        raise InvalidSignature(f"the timestamp is {age_s:.0f} s old, more than {age_s_max:.0f} s")
    if age_s < -age_s_max:
        raise InvalidSignature(f"the timestamp is {-age_s:.0f} s in the future, more than {age_s_max:.0f} s")


def hmac_sha256(secret: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of ``message``: 32 raw bytes."""
    return hmac.digest(secret, message, "sha256")


def hmac_sha256_hex(secret: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of ``message`` in lower-case hex."""
    return hmac_sha256(secret, message).hex().encode()


def hmac_sha256_base64(secret: bytes, message: bytes) -> bytes:
    """Return the HMAC-SHA256 of ``message`` in standard base64 with padding."""
    return base64.b64encode(hmac_sha256(secret, message))


def hmac_hex(algorithm: Algorithm, secret: bytes, message: bytes) -> bytes:
    """Return the HMAC of ``message`` by this hash in lower-case hex."""
    return hmac.digest(secret, message, algorithm).hex().encode()


def hmac_base64(algorithm: Algorithm, secret: bytes, message: bytes) -> bytes:
    """Return the HMAC of ``message`` by this hash in standard base64 with padding."""
    return base64.b64encode(hmac.digest(secret, message, algorithm))


def require_equal(expected: bytes, received: bytes) -> None:
    """Return only if both are the same bytes; the time taken does not tell how much of them is.

    Raises:
        InvalidSignature: they differ.
    """
    if not hmac.compare_digest(expected, received):
        raise InvalidSignature("the signature does not match")


def require_any_equal(expected: bytes, received: list[bytes]) -> None:
    """Return only if ``expected`` is one of ``received``; each is compared, so the time does not tell which.

    Raises:
        InvalidSignature: it is none of them.
    """
    matches = [hmac.compare_digest(expected, candidate) for candidate in received]
    if not any(matches):
        raise InvalidSignature("no signature matches" if matches else "the header holds no signature of this version")


def signatures_in(request: SignedRequest, name: str, version: bytes) -> list[bytes]:
    """Return the signatures of ``version`` in a header such as ``v1=<signature>,v1=<signature>``.

    Raises:
        InvalidSignature: the header is missing, repeated, or has too many.
    """
    elements = [element.partition(b"=") for element in request.header(name).split(b",")]
    if len(elements) > SIGNATURES_MAX:
        raise InvalidSignature(f"the header {name} has too many signatures")
    return [value for key, _, value in elements if key.strip() == version]


def decode_base64(text: bytes) -> bytes:
    """Return the bytes that ``text`` encodes in standard base64 with padding.

    Raises:
        ValueError: it is not base64.
    """
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
