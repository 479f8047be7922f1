"""Sentry's integration platform: ``Sentry-Hook-Signature: <hex HMAC-SHA256 of the raw body>``, with the client secret.

Source: docs.sentry.io, "Integration Platform", "Webhooks".
"""

from __future__ import annotations

from ingest.body_header import BodyHeader
from ingest.fields import joined_type
from ingest.scheme import Identity, text_field, text_header
from ingest.signature import SignedRequest

# The headers carry no proof: only the body is signed.
KEPT_HEADERS = ("request-id", "sentry-hook-resource", "sentry-hook-timestamp")
RETRY_WINDOW_S = 0  # the documentation names none
ANSWER_WITHIN_S = 1
TIMESTAMP_TOLERANCE_S = None  # Sentry-Hook-Timestamp is not signed
ID_AT, TYPE_AT, SIGNED_ID = "Request-ID", "Sentry-Hook-Resource", False
HEADER = BodyHeader("Sentry-Hook-Signature")
SAMPLE = {"action": "created", "data": {"issue": {"id": "1", "title": "ReferenceError"}}, "actor": {"type": "user"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Sentry signed this body. No timestamp is signed: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=secret)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``Request-ID`` as the id, and the resource with the body's action as the type, as ``issue.created``.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    resource, action = text_header(request, "sentry-hook-resource"), text_field(body, "action")
    event_type = joined_type(resource, action)
    return Identity(text_header(request, "request-id"), event_type, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Sentry would send ``body`` about an issue."""
    return {
        "Request-ID": event_id,
        "Sentry-Hook-Resource": "issue",
        "Sentry-Hook-Timestamp": str(int(now_s)),
        **HEADER.sign(body, secret=secret),
    }
