"""Square: ``x-square-hmacsha256-signature: <base64 HMAC-SHA256 of notification URL and raw body>``.

Source: developer.squareup.com/docs/webhooks, "Verify and validate an event notification"; the library squareup,
``verify_signature``. The URL is the one of the subscription, to the letter.
"""

from __future__ import annotations

from ingest.scheme import Identity, text_field
from ingest.signature import SignedRequest, hmac_sha256_base64, require_equal

KEPT_HEADERS = ("square-retry-number", "square-retry-reason", "square-initial-delivery-timestamp")
RETRY_WINDOW_S = 24 * 3600  # eleven retries
ANSWER_WITHIN_S = 10
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.event_id", "body.type", True
SIGNS_URL = True
ID_FIELD = "event_id"
SAMPLE = {"merchant_id": "6SSW7HV8K2ST5", "type": "payment.updated", "data": {"type": "payment", "id": "hYy9pRFVx"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Square signed this body for this address. There is no timestamp: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    expected = hmac_sha256_base64(secret, request.public_url.encode() + request.body)
    require_equal(expected, request.header("x-square-hmacsha256-signature"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``event_id``, the same for a retry, and ``type``.

    Raises:
        MalformedEvent: there is no ``event_id``, or one of them is not text.
    """
    return Identity(text_field(body, "event_id", required=True), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest) -> dict[str, str]:
    """Return the header with which Square would send ``body``, which holds its own id, to the request's address."""
    signature = hmac_sha256_base64(secret, request.public_url.encode() + body).decode()
    return {"x-square-hmacsha256-signature": signature}
