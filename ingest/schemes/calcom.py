"""Cal.com: ``X-Cal-Signature-256: <hex HMAC-SHA256 of the raw body>``.

Source: cal.com/docs, "Webhooks", "Verifying the authenticity of the received payload".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # the documentation names none
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.triggerEvent", False
HEADER = BodyHeader("X-Cal-Signature-256")
SAMPLE = {
    "triggerEvent": "BOOKING_CREATED",
    "createdAt": "2023-11-14T22:13:20.000Z",
    "payload": {"uid": "bFJeNb2uX8ANpT3JL5EfXw"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Cal.com signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Cal.com gives none (the body, with its ``createdAt``, stands for it), and the ``triggerEvent``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_field(body, "triggerEvent"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Cal.com would send ``body``."""
    return HEADER.sign(body, secret=secret)
