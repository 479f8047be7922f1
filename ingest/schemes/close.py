"""Close: ``Close-Sig-Hash: <hex HMAC-SHA256 of timestamp and raw body>``, keyed with the bytes of the hex key.

Source: developer.close.com/topics/webhooks, "Webhook signatures".
"""

from __future__ import annotations

from collections.abc import Callable

from ingest.fields import joined_type, text_at
from ingest.header_pair import HeaderPair
from ingest.scheme import Identity
from ingest.secret_key import check_key, hex_key
from ingest.signature import SignedRequest

KEPT_HEADERS = ("close-sig-timestamp",)
RETRY_WINDOW_S = 72 * 3600
ANSWER_WITHIN_S = 30
# An hour more: Close does not say whether a retry is signed anew, and the signed id is remembered.
TIMESTAMP_TOLERANCE_S = 73 * 3600
ID_AT, TYPE_AT, SIGNED_ID = "body.event.id", "object_type and action of body.event", True
HEADERS = HeaderPair("Close-Sig-Timestamp", "Close-Sig-Hash")
ID_FIELD = "event.id"
SAMPLE = {"subscription_id": "whsub_1", "event": {"object_type": "lead", "action": "updated", "lead_id": "lead_1"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Close signed this request within three days and an hour of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=hex_key(secret), now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is a key in hex, as Close shows it.

    Raises:
        ValueError: it is not.
    """
    check_key(hex_key, secret)


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``id`` of the body's ``event``, the same for a retry, and its type, as ``lead.updated``.

    Raises:
        MalformedEvent: there is no id, or one of them is not text.
    """
    kind, action = text_at(body, "event.object_type"), text_at(body, "event.action")
    event_type = joined_type(kind, action)
    return Identity(text_at(body, "event.id", required=True), event_type, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Close would send ``body``, which holds its own id."""
    return HEADERS.sign(body, secret=hex_key(secret), now_s=now_s)
