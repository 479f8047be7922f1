"""Coinbase Commerce: ``X-CC-Webhook-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: docs.cdp.coinbase.com/commerce, "Webhooks", "Securing webhooks"; the library coinbase-commerce, ``Webhook``.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3 * 24 * 3600  # with exponential backoff, at most an hour apart
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.event.id", "body.event.type", True
HEADER = BodyHeader("X-CC-Webhook-Signature")
ID_FIELD = "event.id"
SAMPLE = {"attempt_number": 1, "event": {"type": "charge:confirmed", "data": {"code": "66BEOV2A"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Coinbase signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``id``, the same for a retry, and ``type`` of the body's ``event``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(text_at(body, "event.id", required=True), text_at(body, "event.type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Coinbase would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
