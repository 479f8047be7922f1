"""HTTP Basic: ``Authorization: Basic <base64 of "<user>:<password>">``, as Pipedrive, Chargebee and Postmark can send.

Source: RFC 7617. Nothing of the request is signed: who learns the password can post any body, so use HTTPS alone.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from ingest.scheme import Identity, text_field
from ingest.signature import InvalidSignature, SignedRequest, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # unknown: the source's dedup_ttl decides
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.type", False
SIGNS_BODY = False


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the request has this user and password; ``secret`` is ``user:password``.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or they are others.
    """
    scheme, _, credentials = request.header("authorization").partition(b" ")
    if scheme.lower() != b"basic":
        raise InvalidSignature("the header authorization is of another scheme than Basic")
    require_equal(base64.b64encode(secret), credentials)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is ``user:password``.

    Raises:
        ValueError: it is not.
    """
    if not secret.partition(b":")[2]:
        raise ValueError("the secret is not user:password")


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return b"headrace:" + random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id (the source's ``event_id`` may say where it is), and the body's ``type`` if it is text.

    Raises:
        MalformedEvent: the type is too long.
    """
    named = isinstance(body, dict) and isinstance(body.get("type"), str) and body["type"] != ""
    return Identity(None, text_field(body, "type") if named else None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with the user and the password."""
    return {"Authorization": "Basic " + base64.b64encode(secret).decode()}
