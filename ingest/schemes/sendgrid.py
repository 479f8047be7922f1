"""SendGrid Event Webhook: ECDSA on P-256, base64 DER, of the SHA-256 of timestamp and raw body.

Source: twilio.com/docs/sendgrid, "Getting Started with the Event Webhook Security Features" and "Event Webhook
Reference"; the libraries' ``EventWebhook``. The secret is the verification key that SendGrid shows.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.header_pair import KeyHeaderPair
from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ("x-twilio-email-event-webhook-timestamp",)
RETRY_WINDOW_S = 24 * 3600
ANSWER_WITHIN_S = None
# SendGrid does not say whether a retry is signed anew, and repeats came after 29 hours (github.com/sendgrid/docs, issue
# 2933); the events' signed ids are remembered.
TIMESTAMP_TOLERANCE_S = 36 * 3600
ID_AT, TYPE_AT, SIGNED_ID = "body[].sg_event_id", "body[].event", True
HEADERS = KeyHeaderPair("X-Twilio-Email-Event-Webhook-Timestamp", "X-Twilio-Email-Event-Webhook-Signature", key="ecdsa")
ID_FIELD = "0.sg_event_id"
SAMPLE = [{"email": "ada@example.com", "event": "delivered", "sg_message_id": "14c5d75ce93", "timestamp": 1700000000}]


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if SendGrid signed this request within a day and a half of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is an ECDSA key.

    Raises:
        ValueError: it is not.
    """
    HEADERS.check_secret(secret)


def make_keys() -> tuple[bytes, bytes]:
    """Return a new private key, and the public one as SendGrid shows it."""
    return HEADERS.make_keys()


def split(body: object) -> Sequence[object] | None:
    """Return the events of a list."""
    return body if isinstance(body, list) else None


def identify(request: SignedRequest, body: object) -> Identity:
    """Return an event's ``sg_event_id``, the same for a retry, and ``event``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_field(body, "sg_event_id"), text_field(body, "event"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which SendGrid would send ``body``, which holds its own ids.

    Raises:
        CannotSign: the secret is a public key.
    """
    return HEADERS.sign(body, secret=secret, now_s=now_s)
