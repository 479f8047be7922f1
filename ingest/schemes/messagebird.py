"""MessageBird: ``MessageBird-Signature-JWT``, an HS256 token with the SHA-256 of the address and of the raw body.

Source: developers.messagebird.com/api, "Verify HTTP requests"; the library messagebird, ``RequestValidator``. The
address counts with its query.
"""

from __future__ import annotations

import hashlib

from ingest.scheme import Identity, text_field
from ingest.signature import InvalidSignature, SignedRequest, require_equal
from ingest.web_token import make_token, read_token, require_valid_now, text_claim

KEPT_HEADERS = ()
RETRY_WINDOW_S = 24 * 3600
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = 60  # around nbf and exp, which the token itself has a minute apart
ID_AT, TYPE_AT, SIGNED_ID = "", "body.type", False
SIGNS_URL = True
ISSUER = "MessageBird"
SAMPLE = {"type": "message.created", "message": {"id": "4c2ac358", "direction": "received", "status": "received"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if MessageBird signed this address and body with a token that is valid now.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or one of these does not hold.
    """
    claims = read_token(request.header("messagebird-signature-jwt"), secret, algorithms=["HS256", "HS384", "HS512"])
    if claims.get("exp") is None or claims.get("nbf") is None:
        raise InvalidSignature("the token has no exp or no nbf")
    require_valid_now(claims, now_s=now_s, leeway_s=TIMESTAMP_TOLERANCE_S)
    require_equal(ISSUER.encode(), text_claim(claims, "iss"))
    require_equal(hashlib.sha256(request.public_url.encode()).hexdigest().encode(), text_claim(claims, "url_hash"))
    if request.body or "payload_hash" in claims:
        require_equal(hashlib.sha256(request.body).hexdigest().encode(), text_claim(claims, "payload_hash"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as MessageBird gives none (the body stands for it), and the ``type``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest) -> dict[str, str]:
    """Return the header with which MessageBird would send ``body`` to the request's address."""
    claims = {
        "iss": ISSUER,
        "nbf": int(now_s),
        "exp": int(now_s),
        "jti": event_id,
        "url_hash": hashlib.sha256(request.public_url.encode()).hexdigest(),
        "payload_hash": hashlib.sha256(body).hexdigest(),
    }
    return {"MessageBird-Signature-JWT": make_token(claims, secret, "HS256")}
