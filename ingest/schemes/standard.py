"""Standard Webhooks 1.0.0, and Svix: ``v1,<base64 HMAC-SHA256 of "<id>.<timestamp>.<raw body>">``.

Source: github.com/standard-webhooks, spec/standard-webhooks.md; docs.svix.com, "Verifying webhooks manually". Svix
names the same headers ``svix-…`` instead of ``webhook-…``. Asymmetric signatures (``v1a``) are not checked.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from ingest.scheme import Identity, text_field, text_header
from ingest.signature import (
    InvalidSignature,
    SignedRequest,
    decode_base64,
    hmac_sha256_base64,
    require_any_equal,
    require_fresh,
)

KEPT_HEADERS = ("webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp")
RETRY_WINDOW_S = 4 * 24 * 3600  # the specification's example schedule ends after about three and a half days
ANSWER_WITHIN_S = 15  # the specification recommends producers 15 to 30 s
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "webhook-id", "body.type", True
SIGNATURES_MAX = 50  # one for each live secret
SECRET_PREFIX = b"whsec_"
SECRET_BYTES = 24
SECRET_BYTES_MIN = 16  # the specification asks producers for 24; an empty key would let anybody sign


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the sender signed this request within five minutes of now.

    Args:
        request: as received.
        secret: ``whsec_`` and base64, or base64 alone.
        now_s: Unix time in seconds.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or no ``v1`` signature matches.
    """
    family = _family(request)
    message_id = request.header(f"{family}-id")
    if not message_id or b"." in message_id:  # the signed text could be cut at another dot
        raise InvalidSignature(f"the header {family}-id is empty or has a dot")
    timestamp = request.header(f"{family}-timestamp")
    require_fresh(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    signatures = [part.partition(b",") for part in request.header(f"{family}-signature").split(b" ")]
    if len(signatures) > SIGNATURES_MAX:
        raise InvalidSignature(f"the header {family}-signature has too many signatures")
    expected = hmac_sha256_base64(_key(secret), b"%b.%b.%b" % (message_id, timestamp, request.body))
    require_any_equal(expected, [value for version, _, value in signatures if version == b"v1"])


def check_secret(secret: bytes) -> None:
    """Return only if the secret is base64, with or without ``whsec_``, of a key that is long enough.

    Raises:
        ValueError: it is not.
    """
    try:
        _key(secret)
    except InvalidSignature as error:
        raise ValueError(str(error)) from error


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return SECRET_PREFIX + base64.b64encode(random_bytes(SECRET_BYTES))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the id of the headers, the same for a retry, and the body's ``type``.

    Raises:
        MalformedEvent: the id is too long or not text, or the type is not text.
    """
    event_id = text_header(request, "webhook-id") or text_header(request, "svix-id")
    return Identity(event_id, text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers that make ``body`` a Standard Webhook."""
    timestamp = str(int(now_s))
    signature = hmac_sha256_base64(_key(secret), f"{event_id}.{timestamp}.".encode() + body).decode()
    return {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signature}"}


def _family(request: SignedRequest) -> str:
    families = [name for name in ("webhook", "svix") if request.optional_header(f"{name}-id") is not None]
    if len(families) != 1:  # with both, the id could be one family's and the signature the other's
        raise InvalidSignature("the headers webhook-id and svix-id are both there, or neither")
    return families[0]


def _key(secret: bytes) -> bytes:
    try:
        key = decode_base64(secret.removeprefix(SECRET_PREFIX))
    except ValueError as error:
        raise InvalidSignature("the secret is not base64, with or without whsec_ before it") from error
    if len(key) < SECRET_BYTES_MIN:
        raise InvalidSignature(f"the secret is shorter than {SECRET_BYTES_MIN} bytes")
    return key
