"""Calendly: ``Calendly-Webhook-Signature: t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<raw body>">``.

Source: developer.calendly.com, "Webhook Signatures", "Webhook Errors" and "Webhook Timeouts".
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # with exponential backoff; then the subscription is disabled
ANSWER_WITHIN_S = 15  # and 10 s to connect
TIMESTAMP_TOLERANCE_S = 180  # Calendly's own example, by which a retry must be signed anew
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
HEADER = TimedHeader("Calendly-Webhook-Signature")
SAMPLE = {
    "event": "invitee.created",
    "created_at": "2023-11-14T22:13:20.000000Z",
    "payload": {"uri": "https://api.calendly.com/scheduled_events/A/invitees/B", "email": "ada@example.com"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Calendly signed this request within three minutes of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no ``v1`` of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Calendly gives none (the body, with its ``created_at``, stands for it), and the ``event``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Calendly would send ``body``."""
    return HEADER.sign(body, secret=secret, now_s=now_s)
