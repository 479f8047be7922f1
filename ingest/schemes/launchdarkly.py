"""LaunchDarkly: ``X-LD-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: launchdarkly.com/docs, "Webhooks", "Signed webhooks".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 60  # once
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body._id", "body.kind", True
HEADER = BodyHeader("X-LD-Signature")
ID_FIELD = "_id"
SAMPLE = {"kind": "flag", "name": "Alternate sort order", "titleVerb": "turned on the flag"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if LaunchDarkly signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``_id``, the same for a retry, and ``kind``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(text_field(body, "_id", required=True), text_field(body, "kind"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which LaunchDarkly would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
