"""Telnyx API v2: ``telnyx-signature-ed25519``, base64, of ``<seconds>|<raw body>``, with the account's public key.

Source: developers.telnyx.com, "Webhook fundamentals", "Webhook signing"; the library telnyx, ``webhook_verification``.
"""

from __future__ import annotations

from ingest.fields import text_at
from ingest.header_pair import KeyHeaderPair
from ingest.scheme import Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ("telnyx-timestamp",)
RETRY_WINDOW_S = 3600  # up to three times, and as often to a failover address
ANSWER_WITHIN_S = 2
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "body.data.id", "body.data.event_type", True
HEADERS = KeyHeaderPair("telnyx-timestamp", "telnyx-signature-ed25519", key="ed25519", text=b"%b|%b")
ID_FIELD = "data.id"
SAMPLE = {"data": {"record_type": "event", "event_type": "message.received", "payload": {"id": "1", "text": "Hello"}}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Telnyx signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is an Ed25519 key.

    Raises:
        ValueError: it is not.
    """
    HEADERS.check_secret(secret)


def make_keys() -> tuple[bytes, bytes]:
    """Return a new private key, and its public one."""
    return HEADERS.make_keys()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``id``, the same for a retry, and ``event_type`` of the body's ``data``.

    Raises:
        MalformedEvent: there is no id, or one of them is not text.
    """
    return Identity(text_at(body, "data.id", required=True), text_at(body, "data.event_type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Telnyx would send ``body``, which holds its own id.

    Raises:
        CannotSign: the secret is a public key.
    """
    return HEADERS.sign(body, secret=secret, now_s=now_s)
