"""Mollie's next-generation webhooks: ``X-Mollie-Signature: sha256=<hex HMAC-SHA256 of the raw body>``.

Source: docs.mollie.com, "Webhooks", "Webhooks best practices"; the library mollie-api-py, ``SignatureValidator``. The
classic webhooks are not signed: theirs is a form with nothing but a payment's ``id``, for scheme ``none``.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 26 * 3600  # ten attempts
ANSWER_WITHIN_S = 15
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.type", True
HEADER = BodyHeader("X-Mollie-Signature", prefix=b"sha256=")
ID_FIELD = "id"
SAMPLE = {"resource": "event", "type": "payment-link.paid", "entityId": "pl_qng5gbbv8NAZ5gpM5ZYgx"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Mollie signed this body. There is no timestamp: a captured request stays valid.

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
    """Return the header with which Mollie would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
