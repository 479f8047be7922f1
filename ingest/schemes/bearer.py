"""A secret that is sent as it is: by default ``Authorization: Bearer <token>`` (Okta, Auth0, Alertmanager and others).

Source: RFC 6750. The options say which header, and what stands before the token. Nothing of the request is signed: who
learns the token can post any body, so use HTTPS alone.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ingest.scheme import Identity, SchemeOptions, text_field
from ingest.signature import InvalidSignature, SignedRequest, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # unknown: the source's dedup_ttl decides
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.type", False
SIGNS_BODY = False


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    header: Annotated[
        str,
        Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,99}$", description="The header that holds the token."),
    ] = "Authorization"
    prefix: Annotated[str, Field(max_length=100, description="What stands before the token.")] = "Bearer "


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if the request has this token. The prefix may be in upper or lower case.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or the token is another.
    """
    prefix = options.prefix.encode()
    received = request.header(options.header.lower())
    if received[: len(prefix)].lower() != prefix.lower():
        raise InvalidSignature(f"the header {options.header} does not begin with what the source's prefix says")
    require_equal(secret, received[len(prefix) :])


def check_secret(secret: bytes, *, options: Options) -> None:
    """Return only if the token can stand in a header.

    Raises:
        ValueError: it cannot.
    """
    if secret.strip() != secret or any(byte < 0x20 or byte == 0x7F for byte in secret):
        raise ValueError("the secret has spaces around it, or control characters, and cannot stand in a header")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id (the source's ``event_id`` may say where it is), and the body's ``type`` if it is text.

    Raises:
        MalformedEvent: the type is too long.
    """
    named = isinstance(body, dict) and isinstance(body.get("type"), str) and body["type"] != ""
    return Identity(None, text_field(body, "type") if named else None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, options: Options) -> dict[str, str]:
    """Return the header with the token."""
    return {options.header: options.prefix + secret.decode("utf-8", "surrogateescape")}
