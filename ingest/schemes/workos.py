"""WorkOS: ``WorkOS-Signature: t=<milliseconds>, v1=<hex HMAC-SHA256 of "<milliseconds>.<raw body>">``.

Source: workos.com/docs/events/data-syncing/webhooks, "Validate the requests"; the library @workos-inc/node.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest
from ingest.timed_header import TimedHeader

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3 * 24 * 3600  # up to twelve times, with exponential backoff
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 180
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.event", True
HEADER = TimedHeader("WorkOS-Signature", unit="ms")
ID_FIELD = "id"
SAMPLE = {"event": "dsync.user.created", "data": {"id": "directory_user_1"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if WorkOS signed this request within three minutes of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no signature of it matches.
    """
    HEADER.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry, and ``event``.

    Raises:
        MalformedEvent: one of them is missing or not text.
    """
    return Identity(text_field(body, "id", required=True), text_field(body, "event"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which WorkOS would send ``body``, which holds its own id."""
    return HEADER.sign(body, secret=secret, now_s=now_s)
