"""Vercel: ``x-vercel-signature: <hex HMAC-SHA1 of the raw body>``.

Source: vercel.com/docs/webhooks/webhooks-api, "Securing webhooks"; vercel.com/docs/webhooks, "Webhook retries".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600
ANSWER_WITHIN_S = 30
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.type", True
HEADER = BodyHeader("x-vercel-signature", algorithm="sha1")
ID_FIELD = "id"
SAMPLE = {"type": "deployment.succeeded", "payload": {"deployment": {"id": "dpl_1"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Vercel signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``type``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Vercel would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
