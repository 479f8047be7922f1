"""Recurly's JSON webhooks: ``recurly-signature: <milliseconds>,<hex HMAC-SHA256 of "<milliseconds>.<raw body>">,…``.

Source: docs.recurly.com, "Signature verification" and "Automatic retries"; the client libraries'
``verify_webhook_signature``. While a key is rotated there are several signatures. XML is not signed.
"""

from __future__ import annotations

from ingest.fields import id_at, joined_type, text_at
from ingest.scheme import Identity
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_hex, require_any_equal, require_fresh_ms

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600  # ten retries, 10 + x * 2^(x + 5) s before the x-th: nine hours
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.event_type", True
SIGNATURES_MAX = 50  # one for each live key
ID_FIELD = "id"
SAMPLE = {"object_type": "account", "event_type": "created", "account_code": "1", "event_time": "2023-11-14T22:13:20Z"}


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
    """Return the body's ``id``, the same for a retry, and its object and event, as ``account.created``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    kind, event = text_at(body, "object_type"), text_at(body, "event_type")
    event_type = joined_type(kind, event)
    return Identity(id_at(body, "id"), event_type, id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Recurly would send ``body``, which holds its own id."""
    timestamp = b"%d" % int(now_s * 1000)
    return {"recurly-signature": (timestamp + b"," + hmac_sha256_hex(secret, timestamp + b"." + body)).decode()}
