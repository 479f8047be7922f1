"""Mailgun: within the body, ``timestamp``, ``token`` and ``signature``, the hex HMAC-SHA256 of the first two.

Source: documentation.mailgun.com, "Securing webhooks" and "Automatic Retries"; help.mailgun.com, "Webhooks". In JSON
they are in ``signature``, in what a route forwards (a form, or multipart with attachments) they are fields. Nothing but
timestamp and token is signed: the token is the event's id, so that a captured one with another body is dropped as a
duplicate.
"""

from __future__ import annotations

import orjson

from ingest.fields import text_at, value_at
from ingest.scheme import Identity, Signed
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_hex, require_equal, require_fresh

KEPT_HEADERS = ()
RETRY_WINDOW_S = 9 * 3600  # "during 8 hours", the last after a pause of four
ANSWER_WITHIN_S = None
# An hour more: Mailgun does not say whether a retry is signed anew, and the signed token, its id, is remembered.
TIMESTAMP_TOLERANCE_S = 10 * 3600
ID_AT, TYPE_AT, SIGNED_ID = "body.signature.token, or the field token", "body.event-data.event", True
SIGNS_BODY = False
ID_FIELD = "signature.token"
SAMPLE = {"event-data": {"event": "delivered", "id": "CPgfbmQMTCKtHW6uIWtuVe", "recipient": "alice@example.com"}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Mailgun signed this timestamp and token, within ten hours of now.

    Raises:
        InvalidSignature: the body cannot be read, or a field is missing, repeated, malformed or stale, or does not
            match.
    """
    body = request.parsed_body()
    fields = value_at(body, "signature")
    if not isinstance(fields, dict):
        fields = body
    timestamp, token, signature = (_text(fields, name) for name in ("timestamp", "token", "signature"))
    # It also shows that no digit was moved between timestamp and token, which are signed without a separator.
    require_fresh(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
    require_equal(hmac_sha256_hex(secret, timestamp + token), signature)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the token as the id, and the ``event`` of the body's ``event-data``, if it has one.

    Raises:
        MalformedEvent: there is no token, or one of them is not text.
    """
    path = "signature.token" if isinstance(value_at(body, "signature"), dict) else "token"
    return Identity(text_at(body, path, required=True), text_at(body, "event-data.event"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> Signed:
    """Return ``body``, if it is a JSON object, with the signature in it; the token is its own, or the event's id."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        return Signed({}, body)
    timestamp, token = str(int(now_s)), value_at(parsed, "signature.token")
    token = token if isinstance(token, str) and token else event_id
    signature = hmac_sha256_hex(secret, f"{timestamp}{token}".encode()).decode()
    return Signed(
        {}, orjson.dumps({**parsed, "signature": {"timestamp": timestamp, "token": token, "signature": signature}})
    )


def _text(fields: object, name: str) -> bytes:
    value = value_at(fields, name)
    if not isinstance(value, str):
        raise InvalidSignature(f"the field {name} is missing, repeated or not text")
    return value.encode("utf-8", "replace")
