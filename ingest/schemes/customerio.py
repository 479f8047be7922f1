"""Customer.io reporting webhooks: ``X-CIO-Signature: <hex HMAC-SHA256 of "v0:<seconds>:<raw body>">``.

Source: docs.customer.io/journeys, "Reporting webhooks", "Securely verifying requests".
"""

from __future__ import annotations

from ingest.fields import joined_type, text_at
from ingest.header_pair import HeaderPair
from ingest.scheme import Identity
from ingest.signature import SignedRequest

KEPT_HEADERS = ("x-cio-timestamp",)
RETRY_WINDOW_S = 7 * 24 * 3600  # with exponential backoff
ANSWER_WITHIN_S = 4
# An hour more: Customer.io does not say whether a retry is signed anew, and the signed id is remembered.
TIMESTAMP_TOLERANCE_S = RETRY_WINDOW_S + 3600
ID_AT, TYPE_AT, SIGNED_ID = "body.event_id", "object_type and metric of the body", True
HEADERS = HeaderPair("X-CIO-Timestamp", "X-CIO-Signature", text=b"v0:%b:%b")
ID_FIELD = "event_id"
SAMPLE = {"object_type": "email", "metric": "opened", "timestamp": 1700000000, "data": {"customer_id": "1"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Customer.io signed this request within a week and an hour of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    HEADERS.verify(request, secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``event_id``, the same for a retry, and its object and metric, as ``email.opened``.

    Raises:
        MalformedEvent: there is no ``event_id``, or one of them is not text.
    """
    kind, metric = text_at(body, "object_type"), text_at(body, "metric")
    event_type = joined_type(kind, metric)
    return Identity(text_at(body, "event_id", required=True), event_type, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Customer.io would send ``body``, which holds its own id."""
    return HEADERS.sign(body, secret=secret, now_s=now_s)
