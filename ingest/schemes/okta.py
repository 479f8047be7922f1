"""Okta event hooks: the secret itself in ``Authorization``, and a GET whose challenge is given back.

Source: developer.okta.com/docs/concepts/event-hooks, "One-time verification request" and "Event hook requests". Nothing
of the request is signed: who learns the secret can post any body.
"""

from __future__ import annotations

from collections.abc import Sequence

import orjson

from ingest.fields import list_at, text_at
from ingest.scheme import Handshake, Identity, challenge_answer
from ingest.signature import InvalidSignature, SignedRequest, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3600  # once
ANSWER_WITHIN_S = 3
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.data.events[].uuid", "body.data.events[].eventType", False
SIGNS_BODY = False
ID_FIELD = "data.events.0.uuid"
SAMPLE = {"eventType": "com.okta.event_hook", "data": {"events": [{"eventType": "user.lifecycle.create"}]}}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if the request has the secret.

    Raises:
        InvalidSignature: the header is missing or repeated, or it is another.
    """
    require_equal(secret, request.header("authorization"))


def challenge(request: SignedRequest, *, secrets: tuple[bytes, ...], now_s: float) -> Handshake:
    """Return the challenge of the header, which anybody may ask for.

    Raises:
        InvalidSignature: there is none.
    """
    try:
        text = request.header("x-okta-verification-challenge").decode("ascii")
    except UnicodeDecodeError as error:
        raise InvalidSignature("the challenge is not ASCII") from error
    answer = challenge_answer(text)
    return Handshake(orjson.dumps({"verification": answer.body.decode()}), "application/json")


def split(body: object) -> Sequence[object]:
    """Return the events of a body.

    Raises:
        MalformedEvent: it has no list of events.
    """
    return list_at(body, "data.events")


def identify(request: SignedRequest, body: object) -> Identity:
    """Return an event's ``uuid``, the same for a retry, and ``eventType``.

    Raises:
        MalformedEvent: one of them is not text.
    """
    return Identity(text_at(body, "uuid"), text_at(body, "eventType"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str) -> dict[str, str]:
    """Return the header with the secret."""
    return {"Authorization": secret.decode("utf-8", "surrogateescape")}
