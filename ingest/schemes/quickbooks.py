"""QuickBooks Online: ``intuit-signature: <base64 HMAC-SHA256 of the raw body>``, with the verifier token.

Source: developer.intuit.com, "Webhooks", "Validating the notification" and "Best practices". A body is a
list of CloudEvents, or in the older form an object with ``eventNotifications`` and no ids.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
# After 10, 20 and 30 s, 5 and 20 minutes, 2, 4 and 6 hours, then every 6 hours, and no end is named.
RETRY_WINDOW_S = 3 * 24 * 3600
ANSWER_WITHIN_S = 3
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body[].id", "body[].type", True
HEADER = BodyHeader("intuit-signature", encoding="base64")
ID_FIELD = "0.id"
SAMPLE = [{"specversion": "1.0", "type": "qbo.customer.created.v1", "intuitentityid": "1234", "data": {}}]


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Intuit signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def split(body: object) -> Sequence[object] | None:
    """Return the events of a list; a body of the older form is one event."""
    return body if isinstance(body, list) else None


def identify(request: SignedRequest, body: object) -> Identity:
    """Return an event's ``id``, the same for a retry, and ``type``; one of the older form has neither.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_field(body, "id"), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Intuit would send ``body``, which holds its own ids."""
    return HEADER.sign(body, secret=secret)
