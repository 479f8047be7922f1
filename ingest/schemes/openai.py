"""OpenAI: Standard Webhooks, ``v1,<base64 HMAC-SHA256 of "<id>.<timestamp>.<raw body>">``.

Source: platform.openai.com/docs, "Webhooks"; the library openai, ``webhooks.verify_signature``.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from ingest.scheme import Identity, text_field, text_header
from ingest.secret_key import check_key
from ingest.signature import SignedRequest
from ingest.standard_webhooks import SECRET_PREFIX, require_standard, standard_headers, standard_key

KEPT_HEADERS = ("webhook-id", "webhook-timestamp")
RETRY_WINDOW_S = 72 * 3600
ANSWER_WITHIN_S = None  # "a few seconds"
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "webhook-id", "body.type", True
SAMPLE = {"object": "event", "id": "evt_1", "type": "response.completed", "data": {"id": "resp_1"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if OpenAI signed this request within five minutes of now.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or no ``v1`` signature matches.
    """
    require_standard(request, "webhook", secret=secret, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)


def check_secret(secret: bytes) -> None:
    """Return only if the secret is base64, with or without ``whsec_``, of a key that is long enough.

    Raises:
        ValueError: it is not.
    """
    check_key(standard_key, secret)


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return SECRET_PREFIX + base64.b64encode(random_bytes(32))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``webhook-id``, the same for a retry, and the body's ``type``.

    Raises:
        MalformedEvent: the id is too long or not text, or the type is not text.
    """
    return Identity(text_header(request, "webhook-id"), text_field(body, "type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the headers with which OpenAI would send ``body``."""
    return standard_headers(body, secret=secret, now_s=now_s, event_id=event_id)
