"""Xero: ``x-xero-signature: <base64 HMAC-SHA256 of the raw body>``, with the webhook's key.

Source: developer.xero.com/documentation/guides/webhooks, "Intent to receive" and "Verifying the signature". To check an
address Xero posts bodies without events, some of them signed wrong, and asks for 200 and 401.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.fields import joined_type, list_at
from ingest.scheme import Handshake, Identity, text_field
from ingest.signature import SignedRequest, hmac_sha256_base64, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # with pauses that grow
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "eventCategory and eventType of body.events[]", False
SAMPLE = {
    "events": [{"resourceId": "717f2bfc", "eventCategory": "INVOICE", "eventType": "UPDATE"}],
    "firstEventSequence": 1,
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Xero signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    require_equal(hmac_sha256_base64(secret, request.body), request.header("x-xero-signature"))


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer "intent to receive", which has no events."""
    if isinstance(body, dict) and body.get("events") == []:
        return Handshake(b"", "text/plain; charset=utf-8")
    return None


def split(body: object) -> Sequence[object]:
    """Return the events of a body.

    Raises:
        MalformedEvent: it has no list of events.
    """
    return list_at(body, "events")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Xero gives none, and an event's category and type, as ``INVOICE.UPDATE``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    category, kind = text_field(body, "eventCategory"), text_field(body, "eventType")
    event_type = joined_type(category, kind)
    return Identity(None, event_type, id_signed=False)


def identify_item(request: SignedRequest, item: object) -> Identity:
    """Return the same of an event in a list.

    Raises:
        MalformedEvent: as `identify`.
    """
    return identify(request, item)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Xero would send ``body``."""
    return {"x-xero-signature": hmac_sha256_base64(secret, body).decode()}
