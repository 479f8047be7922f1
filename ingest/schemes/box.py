"""Box: base64 HMAC-SHA256 of raw body and timestamp, once with each of an app's two keys.

Source: developer.box.com, "V2 Webhooks", "Payload headers", "Retries" and "Signatures". Either of
``Box-Signature-Primary`` and ``Box-Signature-Secondary`` proves the request.
"""

from __future__ import annotations

from datetime import UTC, datetime

from ingest.scheme import Identity, text_field
from ingest.signature import (
    InvalidSignature,
    SignedRequest,
    hmac_sha256_base64,
    require_any_equal,
    require_equal,
    require_fresh_rfc3339,
)

KEPT_HEADERS = ("box-delivery-id", "box-delivery-timestamp")
RETRY_WINDOW_S = 24 * 3600  # up to ten further attempts, with pauses that grow
ANSWER_WITHIN_S = 30
TIMESTAMP_TOLERANCE_S = 600
ID_AT, TYPE_AT, SIGNED_ID = "body.id", "body.trigger", True
ID_FIELD = "id"
SAMPLE = {"type": "webhook_event", "trigger": "FILE.UPLOADED", "source": {"id": "73835521473", "type": "file"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Box signed this request with this key within ten minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or neither signature matches.
    """
    require_equal(b"1", request.header("box-signature-version"))
    require_equal(b"HmacSHA256", request.header("box-signature-algorithm"))
    timestamp = request.header("box-delivery-timestamp")
    require_fresh_rfc3339(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    received = [request.optional_header(f"box-signature-{key}") for key in ("primary", "secondary")]
    if received == [None, None]:
        raise InvalidSignature("the headers box-signature-primary and box-signature-secondary are missing")
    expected = hmac_sha256_base64(secret, request.body + timestamp)
    require_any_equal(expected, [signature for signature in received if signature is not None])


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the body's ``id``, the same for a retry as ``Box-Delivery-Id`` is not, and ``trigger``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_field(body, "id"), text_field(body, "trigger"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which Box would send ``body``, which holds its own id."""
    timestamp = datetime.fromtimestamp(int(now_s), UTC).isoformat()
    return {
        "Box-Delivery-Id": event_id,
        "Box-Delivery-Timestamp": timestamp,
        "Box-Signature-Version": "1",
        "Box-Signature-Algorithm": "HmacSHA256",
        "Box-Signature-Primary": hmac_sha256_base64(secret, body + timestamp.encode()).decode(),
    }
