"""Zendesk: ``X-Zendesk-Webhook-Signature: <base64 HMAC-SHA256 of timestamp and raw body>``.

Source: developer.zendesk.com, "Verifying webhook signatures" and "Anatomy of a webhook request". Zendesk posts one
event; the body that an administrator writes for a trigger may be a list, whose items become one event each.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from ingest.scheme import Identity, text_field, text_header
from ingest.signature import SignedRequest, hmac_sha256_base64, require_equal, require_fresh_rfc3339

# The headers but for the timestamp carry no proof.
KEPT_HEADERS = (
    "x-zendesk-account-id",
    "x-zendesk-webhook-id",
    "x-zendesk-webhook-invocation-id",
    "x-zendesk-webhook-signature-timestamp",
)
RETRY_WINDOW_S = 3600  # up to five retries after a timeout, three after 409, with Retry-After after 429 and 503
ANSWER_WITHIN_S = 12
TIMESTAMP_TOLERANCE_S = 7200  # an hour more: Zendesk does not say whether a retry is signed anew; id and body are kept
ID_AT, TYPE_AT, SIGNED_ID = "X-Zendesk-Webhook-Invocation-Id", "body.type", False
SAMPLE = {"type": "zen:event-type:user.created", "account_id": 22129848, "subject": "zen:user:6596848315901"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Zendesk signed this request within two hours of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    timestamp = request.header("x-zendesk-webhook-signature-timestamp")
    require_fresh_rfc3339(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    expected = hmac_sha256_base64(secret, timestamp + request.body)
    require_equal(expected, request.header("x-zendesk-webhook-signature"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the invocation's id, the same for a retry, and the body's ``type`` if it is an event's.

    Raises:
        MalformedEvent: the id is repeated, too long or not text.
    """
    typed = isinstance(body, dict) and "zendesk_event_version" in body
    event_type = text_field(body, "type") if typed else None
    return Identity(text_header(request, "x-zendesk-webhook-invocation-id"), event_type, id_signed=False)


def split(body: object) -> Sequence[object] | None:
    """Return the items of a list; an event of Zendesk's own is a single one."""
    return body if isinstance(body, list) else None


def identify_item(request: SignedRequest, item: object) -> Identity:
    """Return an event's ``id`` and ``type``; what an administrator wrote has neither, whatever its fields are called.

    Raises:
        MalformedEvent: one of them is not text.
    """
    if not isinstance(item, dict) or "zendesk_event_version" not in item:
        return Identity(None, None, id_signed=True)
    return Identity(text_field(item, "id"), text_field(item, "type"), id_signed=True)


def batch_id(request: SignedRequest) -> str | None:
    """Return the invocation's id: the same list may be posted again for another reason.

    Raises:
        MalformedEvent: it is repeated, too long or not text.
    """
    return text_header(request, "x-zendesk-webhook-invocation-id")


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Zendesk would send ``body``."""
    timestamp = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "X-Zendesk-Webhook-Invocation-Id": event_id,
        "X-Zendesk-Webhook-Signature-Timestamp": timestamp,
        "X-Zendesk-Webhook-Signature": hmac_sha256_base64(secret, timestamp.encode() + body).decode(),
    }
