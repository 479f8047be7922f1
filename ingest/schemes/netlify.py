"""Netlify: ``X-Webhook-Signature``, an HS256 token of issuer ``netlify`` with the SHA-256 of the raw body.

Source: docs.netlify.com, "Deploy notifications", "Payload signature". The token has no time: a captured request stays
valid.
"""

from __future__ import annotations

import hashlib

from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest, require_equal
from ingest.web_token import make_token, read_token, text_claim

KEPT_HEADERS = ("x-netlify-event",)
RETRY_WINDOW_S = 0  # the documentation names none
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.state", False
SAMPLE = {"id": "5e6cd6cb", "site_id": "18aacc7b", "state": "ready", "name": "example"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Netlify signed this body.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or one of these does not hold.
    """
    claims = read_token(request.header("x-webhook-signature"), secret, algorithms=["HS256"])
    require_equal(b"netlify", text_claim(claims, "iss"))
    require_equal(hashlib.sha256(request.body).hexdigest().encode(), text_claim(claims, "sha256"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as a deploy has one for all its states (the body stands for it), and the ``state``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_at(body, "state"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Netlify would send ``body``."""
    claims = {"iss": "netlify", "sha256": hashlib.sha256(body).hexdigest()}
    return {"X-Webhook-Signature": make_token(claims, secret, "HS256")}
