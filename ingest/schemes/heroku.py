"""Heroku app webhooks: ``Heroku-Webhook-Hmac-SHA256: <base64 HMAC-SHA256 of the raw body>``.

Source: devcenter.heroku.com/articles/app-webhooks, "Using the signing secret"; app-webhooks-schema.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3 * 24 * 3600  # for as long as the notification level is sync
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.webhook_metadata.event.id", "body.webhook_metadata.event.include", True
HEADER = BodyHeader("Heroku-Webhook-Hmac-SHA256", encoding="base64")
ID_FIELD = "webhook_metadata.event.id"
SAMPLE = {"action": "create", "resource": "release", "webhook_metadata": {"event": {"include": "api:release"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Heroku signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the id of the event, the same for each delivery of it, and what it is about, as ``api:release``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(
        text_at(body, "webhook_metadata.event.id", required=True), text_at(body, "webhook_metadata.event.include"), True
    )


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Heroku would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret)
