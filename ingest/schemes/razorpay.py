"""Razorpay: ``X-Razorpay-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: razorpay.com/docs, "Validate and test webhooks" and "Webhooks best practices".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field, text_header
from ingest.signature import SignedRequest

KEPT_HEADERS = ("x-razorpay-event-id",)
RETRY_WINDOW_S = 24 * 3600  # with exponential backoff; then the webhook is disabled
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "x-razorpay-event-id", "body.event", False
HEADER = BodyHeader("X-Razorpay-Signature")
SAMPLE = {"entity": "event", "event": "payment.captured", "payload": {"payment": {"entity": {"amount": 4200}}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Razorpay signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``x-razorpay-event-id``, the same for a retry and not signed, and the body's ``event``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(text_header(request, "x-razorpay-event-id"), text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Razorpay would send ``body``."""
    return {"x-razorpay-event-id": event_id, **HEADER.sign(body, secret=secret)}
