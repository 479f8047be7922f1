"""Paddle Billing: ``Paddle-Signature: ts=<seconds>;h1=<hex HMAC-SHA256 of "<seconds>:<raw body>">``.

Source: developer.paddle.com, "Verify webhook signatures" and "Respond to webhooks". While a secret is rotated there
are several ``h1``.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3 * 24 * 3600  # 60 attempts on a live account
ANSWER_WITHIN_S = 5
# Paddle's own libraries allow 5 s: on a machine whose clock is off by more, every event would be refused and at last
# lost. The signed id makes a repeat within these minutes a duplicate.
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "body.event_id", "body.event_type", True
HEADER = TimedHeader("Paddle-Signature", time=b"ts", signature=b"h1", separator=b";", joint=b":")
ID_FIELD = "event_id"
SAMPLE = {"event_type": "transaction.completed", "data": {"id": "txn_1", "status": "completed"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Paddle signed this request within five minutes of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no ``h1`` of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``event_id`` and ``event_type``.

    Raises:
        MalformedEvent: there is no ``event_id``, or one of them is not text.
    """
    return Identity(text_field(body, "event_id", required=True), text_field(body, "event_type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Paddle would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret, now_s=now_s)
