"""Revolut: ``Revolut-Signature: v1=<hex HMAC-SHA256 of "v1.<milliseconds>.<raw body>">``, several with commas.

Source: developer.revolut.com, "Verify the payload signature". While a secret is rotated there are several.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import (
    SignedRequest,
    hmac_sha256_hex,
    require_any_equal,
    require_fresh_ms,
    signatures_in,
)

KEPT_HEADERS = ("revolut-request-timestamp",)
RETRY_WINDOW_S = 3600  # three times, ten minutes apart
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event", False
SAMPLE = {"event": "ORDER_COMPLETED", "order_id": "9fc01989-3f61-4484-a5d9-ffe768531be9"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Revolut signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or no ``v1`` matches.
    """
    timestamp = request.header("revolut-request-timestamp")
    require_fresh_ms(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    expected = hmac_sha256_hex(secret, b"v1.%b.%b" % (timestamp, request.body))
    require_any_equal(expected, signatures_in(request, "revolut-signature", b"v1"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Revolut gives none (the body stands for it), and the ``event``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "event"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Revolut would send ``body``."""
    timestamp = b"%d" % int(now_s * 1000)
    signature = hmac_sha256_hex(secret, b"v1.%b.%b" % (timestamp, body)).decode()
    return {"Revolut-Request-Timestamp": timestamp.decode(), "Revolut-Signature": f"v1={signature}"}
