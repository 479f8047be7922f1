"""Twitch EventSub: ``Twitch-Eventsub-Message-Signature: sha256=<hex HMAC-SHA256 of id, timestamp and raw body>``.

Source: dev.twitch.tv/docs/eventsub/handling-webhook-events, "Verifying the event message" and "Responding to a
challenge request".
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from ingest.fields import text_at
from ingest.scheme import Handshake, Identity, MalformedEvent, text_header
from ingest.signature import SignedRequest, hmac_sha256_hex, require_equal, require_fresh_rfc3339

KEPT_HEADERS = (
    "twitch-eventsub-message-id",
    "twitch-eventsub-message-timestamp",
    "twitch-eventsub-message-type",
    "twitch-eventsub-message-retry",
    "twitch-eventsub-subscription-type",
    "twitch-eventsub-subscription-version",
)
RETRY_WINDOW_S = 3600  # "a few times": Twitch publishes neither number nor interval
ANSWER_WITHIN_S = 10  # "a few seconds"; a subscription whose answers are slow is revoked
TIMESTAMP_TOLERANCE_S = 600
ID_AT, TYPE_AT, SIGNED_ID = "Twitch-Eventsub-Message-Id", "body.subscription.type", True
SAMPLE = {
    "subscription": {"id": "f1c2a387", "type": "channel.follow", "version": "2", "status": "enabled"},
    "event": {"user_id": "1234", "user_login": "cool_user"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Twitch signed this request within ten minutes of now.

    No separator stands in the signed text, but a byte moved between id, timestamp and body breaks the timestamp's form.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    message_id = request.header("twitch-eventsub-message-id")
    timestamp = request.header("twitch-eventsub-message-timestamp")
    require_fresh_rfc3339(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    expected = hmac_sha256_hex(secret, message_id + timestamp + request.body)
    require_equal(b"sha256=" + expected, request.header("twitch-eventsub-message-signature"))


def check_secret(secret: bytes) -> None:
    """Return only if the secret has the length that Twitch takes.

    Raises:
        ValueError: it has not.
    """
    if not secret.isascii() or not 10 <= len(secret) <= 100:
        raise ValueError("the secret is not 10 to 100 ASCII characters")


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer a new subscription with its challenge, known by the signed body and not by the unsigned message type.

    Raises:
        MalformedEvent: the challenge is not text.
    """
    if not isinstance(body, dict) or "challenge" not in body or "event" in body:
        return None
    challenge = body["challenge"]
    if not isinstance(challenge, str):
        raise MalformedEvent("the field challenge is not text")
    return Handshake(challenge.encode("utf-8", "replace"), "text/plain; charset=utf-8")


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return random_bytes(32).hex().encode()


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``Twitch-Eventsub-Message-Id``, the same for a retry, and the type of the body's subscription.

    Raises:
        MalformedEvent: one of them is too long or not text.
    """
    event_id = text_header(request, "twitch-eventsub-message-id")
    return Identity(event_id, text_at(body, "subscription.type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Twitch would send ``body`` as a notification."""
    timestamp = datetime.fromtimestamp(int(now_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    signature = hmac_sha256_hex(secret, f"{event_id}{timestamp}".encode() + body).decode()
    return {
        "Twitch-Eventsub-Message-Id": event_id,
        "Twitch-Eventsub-Message-Timestamp": timestamp,
        "Twitch-Eventsub-Message-Type": "notification",
        "Twitch-Eventsub-Message-Signature": f"sha256={signature}",
    }
