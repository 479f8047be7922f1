"""GoCardless: ``Webhook-Signature: <hex HMAC-SHA256 of the raw body>``.

Source: developer.gocardless.com/api-reference, "Webhooks", "Signing webhooks"; the library gocardless_pro,
``webhooks.parse``.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.body_header import BodyHeader
from ingest.fields import joined_type, list_at
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # up to eight times, and by hand
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.events[].id", "resource_type and action of body.events[]", True
HEADER = BodyHeader("Webhook-Signature")
ID_FIELD = "events.0.id"
SAMPLE = {
    "events": [{"resource_type": "payments", "action": "confirmed", "links": {"payment": "PM123"}}],
    "meta": {"webhook_id": "WB123"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if GoCardless signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def split(body: object) -> Sequence[object]:
    """Return the events of a body.

    Raises:
        MalformedEvent: it has no list of events.
    """
    return list_at(body, "events")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return an event's ``id``, the same for a retry, and its resource and action, as ``payments.confirmed``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    resource, action = text_field(body, "resource_type"), text_field(body, "action")
    event_type = joined_type(resource, action)
    return Identity(text_field(body, "id"), event_type, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which GoCardless would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
