"""Stripe: ``Stripe-Signature: t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<raw body>">``.

Source: docs.stripe.com, "Receive Stripe events in your webhook endpoint", "Verify webhook signatures manually".
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3 * 24 * 3600  # in live mode, with exponential backoff
ANSWER_WITHIN_S = None  # "quickly", says the documentation, and no number
TIMESTAMP_TOLERANCE_S = 300  # the default of Stripe's own libraries
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.type", True
HEADER = TimedHeader("Stripe-Signature")
ID_FIELD = "id"
SAMPLE = {
    "object": "event",
    "type": "invoice.paid",
    "data": {"object": {"id": "in_1", "object": "invoice", "customer": "cus_1", "amount_paid": 4200}},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Stripe signed this request within five minutes of now.

    Elements of other versions are passed over: ``v0`` is Stripe's test signature and proves nothing.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no ``v1`` of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id`` and ``type``.

    Raises:
        MalformedEvent: there is no ``id``, or one of them is not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Stripe would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret, now_s=now_s)
