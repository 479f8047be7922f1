"""Figma: the webhook's passcode itself in the body's ``passcode``.

Source: developers.figma.com/docs/rest-api/webhooks, "Security" and "Events". Nothing is signed: who learns the passcode
can post any body. The passcode stays in the record, as it is in the body: rotate it if the log is shared.
"""

from __future__ import annotations

import orjson

from ingest.fields import text_at, value_at
from ingest.scheme import Identity, Signed
from ingest.signature import InvalidSignature, SignedRequest, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 4 * 3600  # after five minutes, half an hour and three hours; the body counts them
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.event_type", False
SIGNS_BODY = False
SAMPLE = {"event_type": "FILE_UPDATE", "file_key": "dWLd6Ejy", "timestamp": "2023-11-14T22:13:20Z", "webhook_id": "22"}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the body has the passcode.

    Raises:
        InvalidSignature: the body is not JSON, or the passcode is missing or another.
    """
    try:
        passcode = value_at(orjson.loads(request.body), "passcode")
    except orjson.JSONDecodeError as error:
        raise InvalidSignature("the body is not JSON") from error
    if not isinstance(passcode, str):
        raise InvalidSignature("the field passcode is missing or not text")
    require_equal(secret, passcode.encode("utf-8", "replace"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as Figma gives none (the body stands for it), and the ``event_type``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_at(body, "event_type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> Signed:
    """Return ``body``, if it is a JSON object, with the passcode in it."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        parsed = None
    if not isinstance(parsed, dict):
        return Signed({}, body)
    return Signed({}, orjson.dumps({**parsed, "passcode": secret.decode("utf-8", "replace")}))
