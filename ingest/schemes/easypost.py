"""EasyPost: ``X-Hmac-Signature: hmac-sha256-hex=<hex HMAC-SHA256 of the raw body>``, the secret in NFKD.

Source: docs.easypost.com/docs/webhooks, "Webhook authentication"; the library easypost, ``validate_webhook``.
"""

from __future__ import annotations

import unicodedata

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # up to six times
ANSWER_WITHIN_S = 7
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.description", True
HEADER = BodyHeader("X-Hmac-Signature", prefix=b"hmac-sha256-hex=")
ID_FIELD = "id"
SAMPLE = {"object": "Event", "description": "tracker.updated", "result": {"id": "trk_1", "object": "Tracker"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if EasyPost signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=_key(secret))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``description``, as ``tracker.updated``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "description"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which EasyPost would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=_key(secret))


def check_secret(secret: bytes) -> None:
    """Return only if the secret is UTF-8.

    Raises:
        ValueError: it is not.
    """
    secret.decode()


def _key(secret: bytes) -> bytes:
    return unicodedata.normalize("NFKD", secret.decode("utf-8", "replace")).encode()
