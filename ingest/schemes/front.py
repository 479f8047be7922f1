"""Front's application webhooks: ``X-Front-Signature: <base64 HMAC-SHA256 of "<milliseconds>:<raw body>">``.

Source: dev.frontapp.com/docs/application-webhooks, "Verifying integrity" and "Application webhook validation". Rule
webhooks sign otherwise: use scheme ``hmac`` with ``algorithm: sha1``, ``encoding: base64``, ``header:
X-Front-Signature``.
"""

from __future__ import annotations

import re

from ingest.fields import text_at
from ingest.header_pair import HeaderPair
from ingest.scheme import Handshake, Identity
from ingest.signature import SignedRequest, hmac_sha256_base64

KEPT_HEADERS = ("x-front-request-timestamp",)
RETRY_WINDOW_S = 0  # the documentation names none
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "body.payload.id", "body.type", True
HEADERS = HeaderPair(
    "X-Front-Request-Timestamp", "X-Front-Signature", text=b"%b:%b", unit="ms", digest=hmac_sha256_base64
)
ID_FIELD = "payload.id"
SAMPLE = {"type": "inbound_received", "authorization": {"id": "cmp_abc"}, "payload": {"type": "inbound"}}

_CHALLENGE = re.compile(rb"[!-~]{1,512}")


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Front signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer the check of an address with the challenge of its header."""
    challenges = request.values(b"x-front-challenge")
    if len(challenges) != 1 or _CHALLENGE.fullmatch(challenges[0]) is None:
        return None
    return Handshake(challenges[0], "text/plain; charset=utf-8")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``id`` of the body's ``payload``, the same for a retry, and the ``type``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_at(body, "payload.id"), text_at(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Front would send ``body``, which holds its own id."""
    return HEADERS.sign(body, secret=secret, now_s=now_s)
