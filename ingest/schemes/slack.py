"""Slack ``v0``: hex HMAC-SHA256 of ``v0:<timestamp>:<raw body>``.

Source: docs.slack.dev, "Verifying requests from Slack", "The Events API" and "url_verification event".
"""

from __future__ import annotations

from ingest.header_pair import HeaderPair
from ingest.scheme import Handshake, Identity, MalformedEvent, text_field
from ingest.signature import SignedRequest

KEPT_HEADERS = ("x-slack-retry-num", "x-slack-retry-reason")
RETRY_WINDOW_S = 3600  # three retries: at once, after a minute, after five; delayed events go on for an hour
ANSWER_WITHIN_S = 3
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "body.event_id", "body.event.type", True
HEADERS = HeaderPair("X-Slack-Request-Timestamp", "X-Slack-Signature", text=b"v0:%b:%b", prefix=b"v0=")
ID_FIELD = "event_id"
SAMPLE = {
    "type": "event_callback",
    "team_id": "T0001",
    "event": {"type": "message", "channel": "C0001", "user": "U0001", "text": "Hello"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Slack signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def handshake(request: SignedRequest, body: object, *, secret: bytes, now_s: float) -> Handshake | None:
    """Answer ``url_verification`` with its challenge.

    Raises:
        MalformedEvent: it has no challenge.
    """
    if not isinstance(body, dict) or body.get("type") != "url_verification":
        return None
    challenge = body.get("challenge")
    if not isinstance(challenge, str):
        raise MalformedEvent("the field challenge is missing or not text")
    return Handshake(challenge.encode(), "text/plain; charset=utf-8")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``event_id``; commands and interactions have none. The type is the inner event's, if any.

    Raises:
        MalformedEvent: one of them is not text.
    """
    event_type = text_field(body, "type")
    if isinstance(body, dict):
        event_type = text_field(body.get("event"), "type") or event_type
    return Identity(text_field(body, "event_id"), event_type, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Slack would send ``body``, which holds its own id."""
    return HEADERS.sign(body, secret=secret, now_s=now_s)
