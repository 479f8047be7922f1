"""ClickUp: ``X-Signature: <hex HMAC-SHA256 of the raw body>``, with the secret of the webhook.

Source: developer.clickup.com/docs, "Webhook signature" and "Webhook health".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3600  # five times; ClickUp publishes no interval
ANSWER_WITHIN_S = 7
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
HEADER = BodyHeader("X-Signature")
SAMPLE = {
    "event": "taskCreated",
    "task_id": "1vj37mc",
    "webhook_id": "7fa3ec74",
    "history_items": [{"id": "2800763136717140857"}],
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if ClickUp signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as ClickUp gives none (the body, with the ids of its history, stands for it), and the ``event``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    return Identity(None, text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which ClickUp would send ``body``."""
    return HEADER.sign(body, secret=secret)
