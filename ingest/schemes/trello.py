"""Trello: ``X-Trello-Webhook: <base64 HMAC-SHA1 of raw body and callback address>``, with the app's secret.

Source: developer.atlassian.com/cloud/trello/guides/rest-api/webhooks, "Webhook signatures"; that the body is signed as
it is whatever its characters, github.com/trello-archive/api-docs, pull request 26. The address is the one of the
webhook, to the letter; Trello first asks for its HEAD.
"""

from __future__ import annotations

from ingest.fields import text_at
from ingest.scheme import Identity
from ingest.signature import SignedRequest, hmac_base64, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 3600  # three times, after 30, 60 and 120 s
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "body.action.id", "body.action.type", True
SIGNS_URL = True
ANSWERS_HEAD = True
ID_FIELD = "action.id"
SAMPLE = {
    "action": {"type": "updateCard", "date": "2023-11-14T22:13:20.000Z"},
    "model": {"id": "4d5ea62fd76aa1136000000c"},
}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Trello signed this body for this address. There is no timestamp: a captured one stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match.
    """
    expected = hmac_base64("sha1", secret, request.body + request.public_url.encode())
    require_equal(expected, request.header("x-trello-webhook"))


def identify(request: SignedRequest, body: object) -> Identity:
    """Return the ``id``, the same for a retry, and ``type`` of the body's ``action``.

    Raises:
        MalformedEvent: there is no id, or one of them is not text.
    """
    return Identity(text_at(body, "action.id", required=True), text_at(body, "action.type"), id_signed=True)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest) -> dict[str, str]:
    """Return the header with which Trello would send ``body``, which holds its own id, to the request's address."""
    return {"X-Trello-Webhook": hmac_base64("sha1", secret, body + request.public_url.encode()).decode()}
