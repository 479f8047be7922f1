"""PagerDuty webhooks v3: ``X-PagerDuty-Signature: v1=<hex HMAC-SHA256 of the raw body>``, several with commas.

Source: developer.pagerduty.com, "Verifying signatures" and "Webhooks overview".
"""

from __future__ import annotations

from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest, hmac_sha256_hex, require_any_equal, signatures_in

KEPT_HEADERS = ("x-webhook-id", "x-webhook-subscription")
RETRY_WINDOW_S = 3600  # four times within twenty minutes
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.event.id", "body.event.event_type", True
ID_FIELD = "event.id"
SAMPLE = {"event": {"event_type": "incident.triggered", "data": {"id": "PGR0VU2", "title": "A little bump"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if PagerDuty signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or no ``v1`` of it matches.
    """
    expected = hmac_sha256_hex(secret, request.body)
    require_any_equal(expected, signatures_in(request, "x-pagerduty-signature", b"v1"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``id`` and ``event_type`` of the body's ``event``.

    Raises:
        MalformedEvent: there is no id, or one of them is not text.
    """
    return Identity(text_at(body, "event.id", required=True), text_at(body, "event.event_type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which PagerDuty would send ``body``, which holds its own id."""
    return {"X-PagerDuty-Signature": "v1=" + hmac_sha256_hex(secret, body).decode()}
