"""Onfido: ``X-SHA2-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: documentation.onfido.com, "Webhooks", "Verifying webhook signatures"; the library onfido-python.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 12 * 3600  # after 30 s, then with exponential backoff
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.payload.action", False
HEADER = BodyHeader("X-SHA2-Signature")
SAMPLE = {
    "payload": {
        "resource_type": "check",
        "action": "check.completed",
        "object": {"id": "f2302f45", "status": "complete"},
    }
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Onfido signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Onfido gives none (the body stands for it), and the payload's ``action``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_at(body, "payload.action"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Onfido would send ``body``."""
    return HEADER.sign(body, secret=secret)
