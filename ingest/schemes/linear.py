"""Linear: ``Linear-Signature: <hex HMAC-SHA256 of the raw body>``, and the time within the body.

Source: linear.app/developers/webhooks, "Securing webhooks"; the library @linear/sdk, ``LinearWebhookClient``.
"""

from __future__ import annotations

import orjson

from ingest.fields import joined_type
from ingest.scheme import Identity, Signed, text_field, text_header
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_hex, require_equal, require_recent

KEPT_HEADERS = ("linear-delivery", "linear-event", "linear-timestamp")
RETRY_WINDOW_S = 7 * 3600  # after a minute, an hour and six hours
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 60
ID_AT, TYPE_AT, SIGNED_ID = "Linear-Delivery", "body.type", False
SAMPLE = {"action": "create", "type": "Issue", "data": {"id": "2174add1", "title": "Fix all the bugs"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Linear signed this body within a minute of now.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match, or the body's
            ``webhookTimestamp`` (Unix milliseconds) is missing or stale.
    """
    require_equal(hmac_sha256_hex(secret, request.body), request.header("linear-signature"))
    body = request.parsed_body()
    time_ms = body.get("webhookTimestamp") if isinstance(body, dict) else None
    if not isinstance(time_ms, int | float) or isinstance(time_ms, bool):
        raise InvalidSignature("the field webhookTimestamp is missing or no number")
    require_recent(time_ms / 1000, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``Linear-Delivery`` as the id and the body's ``type`` and ``action``, as ``Issue.create``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    kind, action = text_field(body, "type"), text_field(body, "action")
    event_type = joined_type(kind, action)
    return Identity(text_header(request, "linear-delivery"), event_type, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> Signed:
    """Return the headers with which Linear would send ``body``, with its time in it if it is an object."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if isinstance(parsed, dict):
        body = orjson.dumps({**parsed, "webhookTimestamp": int(now_s * 1000)})
    signature = hmac_sha256_hex(secret, body).decode()
    return Signed({"Linear-Delivery": event_id, "Linear-Event": "Issue", "Linear-Signature": signature}, body)
