"""Mailchimp Transactional (Mandrill): ``X-Mandrill-Signature``, base64 HMAC-SHA1 of address and sorted form parameters.

Source: mailchimp.com/developer/transactional, "Authenticating webhook requests" and "Track and respond to activity with
webhooks". The form's ``mandrill_events`` is a JSON list; an empty one is the check of a new webhook, signed with a key
that is not its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import parse_qsl

import orjson

from ingest.scheme import Handshake, Identity, MalformedEvent, text_field
from ingest.signature import InvalidSignature, SignedRequest, hmac_base64, require_equal

KEPT_HEADERS = ()
RETRY_WINDOW_S = 0  # for as long as the address does not answer; the documentation names no end
ANSWER_WITHIN_S = None
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "", "body.mandrill_events[].event", False
SIGNS_URL = True
ANSWERS_HEAD = True  # Mandrill asks for it before it makes the webhook
FORM_FIELDS_MAX = 100
CONTENT_TYPE = "application/x-www-form-urlencoded"
SAMPLE = {"mandrill_events": '[{"event":"send","ts":1365109999,"_id":"7761629","msg":{"state":"sent"}}]'}


def verify(request: SignedRequest, *, secret: bytes, now_s: float) -> None:
    """Return only if Mandrill signed this form for this address. There is no timestamp: a captured one stays valid.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match, or the body is no form.
    """
    expected = hmac_base64("sha1", secret, _signed_text(request.public_url, request.body))
    require_equal(expected, request.header("x-mandrill-signature"))


def greeting(request: SignedRequest, body: object) -> Handshake | None:
    """Answer the check of a new webhook, whose list is empty."""
    if isinstance(body, dict) and body.get("mandrill_events") == "[]":
        return Handshake(b"", "text/plain; charset=utf-8")
    return None


def split(body: object) -> Sequence[object]:
    """Return the events of the form.

    Raises:
        MalformedEvent: it has no JSON list of them.
    """
    text = body.get("mandrill_events") if isinstance(body, dict) else None
    try:
        events = orjson.loads(text) if isinstance(text, str) else None
    except orjson.JSONDecodeError:
        events = None
    if not isinstance(events, list):
        raise MalformedEvent("the field mandrill_events is missing or no JSON list")
    return events


def identify(request: SignedRequest, body: object) -> Identity:
    """Return no id, as ``_id`` is the message's and all its events share it, and an event's ``event`` or ``type``.

    Raises:
        MalformedEvent: the type is not text.
    """
    return Identity(None, text_field(body, "event") or text_field(body, "type"), id_signed=False)


def sign(body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest) -> dict[str, str]:
    """Return the header with which Mandrill would send the form ``body`` to the request's address."""
    signature = hmac_base64("sha1", secret, _signed_text(request.public_url, body))
    return {"X-Mandrill-Signature": signature.decode()}


def _signed_text(url: str, body: bytes) -> bytes:
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise InvalidSignature("the form cannot be read") from error
    if not pairs or len({name for name, _ in pairs}) != len(pairs):
        raise InvalidSignature("the body is no form, or a field of it is repeated")
    fields = "".join(name + value for name, value in sorted(pairs))
    return url.encode() + fields.encode("utf-8", "surrogateescape")
