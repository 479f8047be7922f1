"""Intercom: ``X-Hub-Signature: sha1=<hex HMAC-SHA1 of the raw body>``, with the app's client secret.

Source: developers.intercom.com, "Webhooks", "Signed notifications" and "Webhook notification failures".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 2 * 3600  # one that is answered 429, after pauses of one minute to two hours; others once
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.topic", True
HEADER = BodyHeader("X-Hub-Signature", prefix=b"sha1=", algorithm="sha1")
ID_FIELD = "id"
SAMPLE = {"type": "notification_event", "topic": "conversation.user.created", "data": {"item": {"id": "1"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Intercom signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``topic``; a ping has no id.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_field(body, "id"), text_field(body, "topic"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Intercom would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
