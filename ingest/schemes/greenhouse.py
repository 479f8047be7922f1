"""Greenhouse: ``Signature: sha256 <hex HMAC-SHA256 of the raw body>``.

Source: developers.greenhouse.io/webhooks.html, "Authentication" and "Retry policy".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = ("greenhouse-event-id",)
RETRY_WINDOW_S = 16 * 3600  # seven attempts, the last after 15 hours and 16 minutes
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "Greenhouse-Event-ID", "body.action", False
HEADER = BodyHeader("Signature", prefix=b"sha256 ")
SAMPLE = {"action": "hire_candidate", "payload": {"application": {"id": 46194062}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Greenhouse signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``Greenhouse-Event-ID``, the same for a retry and not signed, and the body's ``action``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(text_header(request, "greenhouse-event-id"), text_field(body, "action"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Greenhouse would send ``body``."""
    return {"Greenhouse-Event-ID": event_id, **HEADER.sign(body, secret=secret)}
