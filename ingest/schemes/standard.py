"""Standard Webhooks 1.0.0, and Svix: ``v1,<base64 HMAC-SHA256 of "<id>.<timestamp>.<raw body>">``.

Source: github.com/standard-webhooks, spec/standard-webhooks.md; docs.svix.com, "Verifying webhooks manually". Svix
names the same headers ``svix-…`` instead of ``webhook-…``. Asymmetric signatures (``v1a``) are not checked.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from ingest.scheme import Identity, text_field, text_header
from ingest.secret_key import check_key
from ingest.signature import InvalidSignature, SignedRequest
from ingest.standard_webhooks import SECRET_PREFIX, require_standard, standard_headers, standard_key

KEPT_HEADERS = ("webhook-id", "webhook-timestamp", "svix-id", "svix-timestamp")
RETRY_WINDOW_S = 4 * 24 * 3600  # the specification's example schedule ends after about three and a half days
ANSWER_WITHIN_S = 15  # the specification recommends producers 15 to 30 s
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "webhook-id", "body.type", True
SECRET_BYTES = 24


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the sender signed this request within five minutes of now.

    Args:
        request: as received.
        secret: ``whsec_`` and base64, or base64 alone.
        now_s: Unix time in seconds.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or no ``v1`` signature matches.
    """
    require_standard(request, _family(request), secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is base64, with or without ``whsec_``, of a key that is long enough.

    Raises:
        ValueError: it is not.
    """
    check_key(standard_key, secret)


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
    return standard_headers(body, secret=secret, now_s=now_s, event_id=event_id)


def _family(request: SignedRequest) -> str:
    families = [name for name in ("webhook", "svix") if request.optional_header(f"{name}-id") is not None]
    if len(families) != 1:  # with both, the id could be one family's and the signature the other's
        raise InvalidSignature("the headers webhook-id and svix-id are both there, or neither")
    return families[0]
