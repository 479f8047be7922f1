"""Xero: ``x-xero-signature: <base64 HMAC-SHA256 of the raw body>``, with the webhook's key.

Source: developer.xero.com/documentation/guides/webhooks, "Intent to receive" and "Verifying the signature". To check an
address Xero posts bodies without events, some of them signed wrong, and asks for 200 and 401.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.body_header import BodyHeader
from ingest.fields import joined_type, list_at
from ingest.scheme import Handshake, Identity, no_events_answer, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # with pauses that grow
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "eventCategory and eventType of body.events[]", False
HEADER = BodyHeader("x-xero-signature", encoding="base64")
SAMPLE = {
    "events": [{"resourceId": "717f2bfc", "eventCategory": "INVOICE", "eventType": "UPDATE"}],
    "firstEventSequence": 1,
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Xero signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer "intent to receive", which has no events."""
    return no_events_answer(body)


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


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Xero would send ``body``."""
    return HEADER.sign(body, secret=secret)
