"""Standard Webhooks 1.0.0: ``v1,<base64 HMAC-SHA256 of "<id>.<timestamp>.<raw body>">``, which several providers use.

Source: github.com/standard-webhooks, spec/standard-webhooks.md; docs.svix.com, "Verifying webhooks manually".
"""

from __future__ import annotations

from ingest.secret_key import base64_key
from ingest.signature import (
    InvalidSignature,
    SignedRequest,
    hmac_sha256_base64,
    require_any_equal,
    require_fresh,
)

SIGNATURES_MAX = 50  # one for each live secret
SECRET_PREFIX = b"whsec_"


def require_standard(request: SignedRequest, family: str, *, secret: bytes, now_s: float, age_s_max: float) -> None:
    """Return only if a ``v1`` signature in the headers ``<family>-…`` is right, made within ``age_s_max`` of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or no ``v1`` signature matches.
    """
    message_id = request.header(f"{family}-id")
    if not message_id or b"." in message_id:  # the signed text could be cut at another dot
        raise InvalidSignature(f"the header {family}-id is empty or has a dot")
    timestamp = request.header(f"{family}-timestamp")
    require_fresh(timestamp, now_s=now_s, age_s_max=age_s_max)
    signatures = [part.partition(b",") for part in request.header(f"{family}-signature").split(b" ")]
    if len(signatures) > SIGNATURES_MAX:
        raise InvalidSignature(f"the header {family}-signature has too many signatures")
    expected = hmac_sha256_base64(standard_key(secret), b"%b.%b.%b" % (message_id, timestamp, request.body))
    require_any_equal(expected, [value for version, _, value in signatures if version == b"v1"])


def standard_headers(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers that make ``body`` a Standard Webhook."""
    timestamp = str(int(now_s))
    signature = hmac_sha256_base64(standard_key(secret), f"{event_id}.{timestamp}.".encode() + body).decode()
    return {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def standard_key(secret: bytes) -> bytes:
    """Return the key that ``secret`` is, in base64 with or without ``whsec_`` before it.

    Raises:
        InvalidSignature: it is not, or is too short.
    """
    return base64_key(secret, prefix=SECRET_PREFIX)
