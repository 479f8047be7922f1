"""Help Scout: ``X-HelpScout-Signature: <base64 HMAC-SHA1 of the raw body>``.

Source: developer.helpscout.com/webhooks, "Verifying webhooks" and "Events".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = ("x-helpscout-event",)
RETRY_WINDOW_S = 24 * 3600  # up to ten times
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "X-HelpScout-Event", False
HEADER = BodyHeader("X-HelpScout-Signature", algorithm="sha1", encoding="base64")
SAMPLE = {"id": 131, "number": 349, "subject": "I need help!", "status": "active"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Help Scout signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id (the body stands for it), and ``X-HelpScout-Event``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_header(request, "x-helpscout-event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Help Scout would send ``body``."""
    return {"X-HelpScout-Event": "convo.created", **HEADER.sign(body, secret=secret)}
