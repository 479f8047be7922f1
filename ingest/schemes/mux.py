"""Mux: ``Mux-Signature: t=<seconds>,v1=<hex HMAC-SHA256 of "<seconds>.<raw body>">``.

Source: mux.com/docs, "Verify webhook signatures" and "Listen for webhooks".
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.type", True
HEADER = TimedHeader("Mux-Signature")
ID_FIELD = "id"
SAMPLE = {"type": "video.asset.ready", "data": {"id": "SqQnqz6s5MBuXGvJaUWdXuXM93J9Q2yv", "status": "ready"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Mux signed this request within five minutes of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no signature of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``type``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Mux would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret, now_s=now_s)
