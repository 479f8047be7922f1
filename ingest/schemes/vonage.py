"""Vonage: ``Authorization: Bearer <token>``, an HS256 token with the SHA-256 of the raw body in ``payload_hash``.

Source: developer.vonage.com, "Webhooks", "Decoding signed webhooks"; the library vonage-jwt, ``verify_signature``. The
secret is the signature secret of the API settings.
"""

from __future__ import annotations

import hashlib

from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import InvalidSignature, SignedRequest, require_equal, require_recent
from ingest.web_token import issued_at_s, make_token, read_token, text_claim

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "", "status or message_type of the body", False
SAMPLE = {"message_uuid": "aaaaaaaa-bbbb-cccc-dddd-0123456789ab", "status": "delivered", "channel": "sms"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Vonage signed this body with a token of the last five minutes.

    A token without ``payload_hash`` is refused: it would fit any body.

    Raises:
        InvalidSignature: the header is missing, repeated, malformed or stale, or one of these does not hold.
    """
    scheme, _, token = request.header("authorization").partition(b" ")
    if scheme.lower() != b"bearer":
        raise InvalidSignature("the header authorization is of another scheme than Bearer")
    claims = read_token(token, secret, algorithms=["HS256"])
    require_recent(issued_at_s(claims), now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    require_equal(hashlib.sha256(request.body).hexdigest().encode(), text_claim(claims, "payload_hash"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as a message has one for all its events (the body stands for it), and what the body is about.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_at(body, "status") or text_at(body, "message_type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with which Vonage would send ``body``."""
    digest = hashlib.sha256(body).hexdigest()
    claims = {"iss": "Vonage", "iat": int(now_s), "jti": event_id, "payload_hash": digest}
    return {"Authorization": "Bearer " + make_token(claims, secret, "HS256")}
