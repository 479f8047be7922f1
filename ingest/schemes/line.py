"""LINE Messaging API: ``X-Line-Signature: <base64 HMAC-SHA256 of the raw body>``, with the channel secret.

Source: developers.line.biz, "Verify webhook signature", "Receive messages (webhook)" and "Webhook event objects". A
body holds several events; one without any is LINE's check of the address.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.body_header import BodyHeader
from ingest.fields import list_at
from ingest.scheme import Handshake, Identity, no_events_answer, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # if redelivery is on; LINE publishes neither number nor interval
ANSWER_WITHIN_S = 2
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.events[].webhookEventId", "body.events[].type", True
HEADER = BodyHeader("X-Line-Signature", encoding="base64")
ID_FIELD = "events.0.webhookEventId"
SAMPLE = {
    "destination": "U1",
    "events": [{"type": "message", "mode": "active", "message": {"type": "text", "id": "325708", "text": "Hello"}}],
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if LINE signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer the check of the address, which has no events."""
    return no_events_answer(body)


def split(body: object) -> Sequence[object]:
    """Return the events of a body.

    Raises:
        MalformedEvent: it has no list of events.
    """
    return list_at(body, "events")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id and no type for a whole body: `identify_item` tells those of its events."""
    return Identity(None, None, id_signed=True)


def identify_item(request: SignedRequest, item: object) -> Identity:
    """Return an event's ``webhookEventId``, the same when it is sent again, and ``type``.

    Raises:
        MalformedEvent: there is no id, or one of them is not text.
    """
    return Identity(text_field(item, "webhookEventId", required=True), text_field(item, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which LINE would send ``body``, which holds its own ids."""
    return HEADER.sign(body, secret=secret)
