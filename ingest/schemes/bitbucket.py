"""Bitbucket, Cloud and Data Center: ``X-Hub-Signature: sha256=<hex HMAC-SHA256 of the raw body>``.

Source: support.atlassian.com, "Manage webhooks" and "Event payloads", for Bitbucket Cloud; confluence.atlassian.com,
"Manage webhooks", for Data Center.
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.scheme import Identity, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = ("x-event-key", "x-hook-uuid", "x-request-uuid", "x-request-id", "x-attempt-number", "x-event-time")
RETRY_WINDOW_S = 0  # two further attempts; the documentation names no time
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "X-Request-UUID", "X-Event-Key", False
HEADER = BodyHeader("X-Hub-Signature", prefix=b"sha256=")
SAMPLE = {"actor": {"display_name": "Emma"}, "repository": {"full_name": "team_name/repo_name"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Bitbucket signed this body. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``X-Request-UUID``, or ``X-Request-Id`` of a Data Center, and ``X-Event-Key``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    event_id = text_header(request, "x-request-uuid") or text_header(request, "x-request-id")
    return Identity(event_id, text_header(request, "x-event-key"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Bitbucket would send ``body`` as ``repo:push``."""
    return {
        "X-Event-Key": "repo:push",
        "X-Request-UUID": event_id,
        **HEADER.sign(body, secret=secret),
    }
