"""Airtable: ``X-Airtable-Content-MAC: hmac-sha256=<hex HMAC-SHA256 of the raw body>``, with ``macSecretBase64``.

Source: airtable.com/developers/web/api/webhooks-overview, "Webhook notification delivery". A notification says that
there are changes, which one then lists; it has no id.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

from ingest.body_header import BodyHeader
from ingest.scheme import Identity
from ingest.secret_key import base64_key, check_key
from ingest.signature import SignedRequest

KEPT_HEADERS = ()
RETRY_WINDOW_S = 7 * 24 * 3600  # with exponential backoff, for as long as the webhook lives
ANSWER_WITHIN_S = 25
TIMESTAMP_TOLERANCE_S = None  # the body has a time, of the change and not of the sending
ID_AT, TYPE_AT, SIGNED_ID = "", "", False
HEADER = BodyHeader("X-Airtable-Content-MAC", prefix=b"hmac-sha256=")
SAMPLE = {"base": {"id": "app00000000000000"}, "webhook": {"id": "ach00000000000000"}, "timestamp": "2023-11-14T22:13Z"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Airtable signed this body. No time of sending is signed: a captured request stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    HEADER.verify(request, secret=base64_key(secret))


def check_secret(secret: bytes) -> None:
    """Return only if the secret is base64, as Airtable gave it.

    Raises:
        ValueError: it is not.
    """
    check_key(base64_key, secret)


def make_secret(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a new secret."""
    return base64.b64encode(random_bytes(32))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id and no type, as Airtable gives none: the body, with its ``timestamp``, stands for the id."""
    return Identity(None, None, id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Airtable would send ``body``."""
    return HEADER.sign(body, secret=base64_key(secret))
