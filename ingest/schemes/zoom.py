"""Zoom: ``x-zm-signature: v0=<hex HMAC-SHA256 of "v0:<seconds>:<raw body>">``, with the app's secret token.

Source: developers.zoom.us, "Using webhooks", "Verify webhook events", "Validate your webhook endpoint" and "Webhook
retries".
"""

from __future__ import annotations

import orjson

from ingest.fields import value_at
from ingest.header_pair import HeaderPair
from ingest.scheme import Handshake, Identity, require_text, text_field
from ingest.signature import SignedRequest, hmac_sha256_hex

KEPT_HEADERS = ("x-zm-request-timestamp", "x-zm-trackingid")
RETRY_WINDOW_S = 150 * 60  # three times, the last 60 to 90 minutes after the one before
ANSWER_WITHIN_S = 3
# An hour more: Zoom does not say whether a retry is signed anew, and the signed body, which stands for the id, is
# remembered.
TIMESTAMP_TOLERANCE_S = RETRY_WINDOW_S + 3600
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
HEADERS = HeaderPair("x-zm-request-timestamp", "x-zm-signature", text=b"v0:%b:%b", prefix=b"v0=")
SAMPLE = {"event": "meeting.started", "event_ts": 1700000000000, "payload": {"object": {"id": "1234567890"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Zoom signed this request within three and a half hours of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer ``endpoint.url_validation`` with its token and the token's HMAC.

    Raises:
        MalformedEvent: it has no token.
    """
    if not isinstance(body, dict) or body.get("event") != "endpoint.url_validation":
        return None
    token = require_text(value_at(body, "payload.plainToken"), "the field payload.plainToken")
    encrypted = hmac_sha256_hex(secret, token.encode()).decode()
    return Handshake(orjson.dumps({"plainToken": token, "encryptedToken": encrypted}), "application/json")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Zoom gives none (the body, with its ``event_ts``, stands for it), and the ``event``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Zoom would send ``body``."""
    return HEADERS.sign(body, secret=secret, now_s=now_s)
