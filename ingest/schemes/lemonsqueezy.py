"""Lemon Squeezy: ``X-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: docs.lemonsqueezy.com, "Signing requests" and "Webhook requests".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = ("x-event-name",)
RETRY_WINDOW_S = 3600  # three times, within minutes
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.meta.event_name", False
HEADER = BodyHeader("X-Signature")
SAMPLE = {"meta": {"event_name": "order_created"}, "data": {"type": "orders", "id": "1"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Lemon Squeezy signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Lemon Squeezy gives none (the body stands for it), and the event's name.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_at(body, "meta.event_name"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Lemon Squeezy would send ``body``."""
    return {"X-Event-Name": "order_created", **HEADER.sign(body, secret=secret)}
