"""Typeform: ``Typeform-Signature: sha256=<base64 HMAC-SHA256 of the raw body>``.

Source: typeform.com/developers, "Secure your webhooks" and "Webhooks", "Retries".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # every few minutes for ten hours, or seven times within eleven; and by hand
ANSWER_WITHIN_S = 30
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.event_id", "body.event_type", True
HEADER = BodyHeader("Typeform-Signature", prefix=b"sha256=", encoding="base64")
ID_FIELD = "event_id"
SAMPLE = {"event_type": "form_response", "form_response": {"form_id": "lT4Z3j", "token": "a3a12ec67a1365927098a606"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Typeform signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``event_id``, the same for a retry, and ``event_type``.

    Raises:
        MalformedEvent: there is no ``event_id``, or one of them is not text.
    """
    return Identity(text_field(body, "event_id", required=True), text_field(body, "event_type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Typeform would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
