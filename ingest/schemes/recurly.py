"""Recurly's JSON webhooks: ``recurly-signature: <milliseconds>,<hex HMAC-SHA256 of "<milliseconds>.<raw body>">,…``.

Source: docs.recurly.com, "Signature verification", "Automatic retries" and, of Recover, "Duplicate deliveries"; the
client libraries' ``verify_signature``. While a key is rotated there are several signatures. XML is not signed.
"""

from __future__ import annotations

from ingest.fields import joined_type, text_at
from ingest.scheme import Identity, text_header
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_hex, require_any_equal, require_fresh_ms

# The header carries no proof: time and body are signed.
KEPT_HEADERS = ("recurly-notification-id",)
RETRY_WINDOW_S = 4 * 24 * 3600  # ten retries, about 10 + x * 2^(x + 5) s before each, x from 0: 73 hours
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 300  # of the client libraries
ID_AT, TYPE_AT, SIGNED_ID = "recurly-notification-id", "object_type and event_type of the body", False
SIGNATURES_MAX = 50  # one for each live key
SAMPLE = {
    "id": "rjxwmwedwqug",
    "object_type": "account",
    "event_type": "created",
    "event_time": "2023-11-14T22:13:20Z",
    "account_code": "1",
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Recurly signed this request within five minutes of now.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or no signature of it matches.
    """
    timestamp, *signatures = request.header("recurly-signature").split(b",")
    if len(signatures) > SIGNATURES_MAX:
        raise InvalidSignature("the header recurly-signature has too many signatures")
    require_fresh_ms(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    require_any_equal(hmac_sha256_hex(secret, timestamp + b"." + request.body), signatures)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``recurly-notification-id``, the same for a retry, and the object and event, as ``account.created``.

    The body's ``id`` is that of the object: the next event of the same account has it too.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    kind, event = text_at(body, "object_type"), text_at(body, "event_type")
    event_type = joined_type(kind, event)
    return Identity(text_header(request, "recurly-notification-id"), event_type, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Recurly would send ``body``."""
    timestamp = b"%d" % int(now_s * 1000)
    signature = timestamp + b"," + hmac_sha256_hex(secret, timestamp + b"." + body)
    return {"recurly-notification-id": event_id, "recurly-signature": signature.decode()}
