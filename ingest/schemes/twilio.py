"""Twilio: ``X-Twilio-Signature: <base64 HMAC-SHA1 of URL and sorted form parameters>``; of JSON, the URL has the hash.

Source: twilio.com/docs/usage/security, "Validating signatures from Twilio"; the libraries' ``RequestValidator``. With
``algorithm: sha256`` the secret is a shared key. Names and values follow one another without separators, so a captured
request could be cut into other parameters; a callback that Twilio waits upon for TwiML gets none from Headrace.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import Annotated, Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import Field

from ingest.fields import text_at
from ingest.scheme import Identity, SchemeOptions, Signed, text_header
from ingest.signature import InvalidSignature, SignedRequest, require_any_equal, require_equal

KEPT_HEADERS = ("i-twilio-idempotency-token",)
RETRY_WINDOW_S = 3600  # once, unless the address asks for more; event streams for four hours have their own ids
ANSWER_WITHIN_S = 15
TIMESTAMP_TOLERANCE_S = None
ID_AT, TYPE_AT, SIGNED_ID = "I-Twilio-Idempotency-Token", "EventType, MessageStatus, CallStatus or SmsStatus", False
SIGNS_URL = True
FORM_FIELDS_MAX = 1000
CONTENT_TYPE = "application/x-www-form-urlencoded"
SAMPLE = b"MessageSid=SM1&SmsSid=SM1&AccountSid=AC1&MessageStatus=delivered&From=%2B15017122661&To=%2B15558675310"

_FORM = re.compile(rb"application/x-www-form-urlencoded\s*(;.*)?", re.IGNORECASE)


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    algorithm: Annotated[Literal["sha1", "sha256"], Field(description="sha256 if Twilio signs with a shared key.")] = (
        "sha1"
    )


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if Twilio signed this address and body. There is no timestamp: a captured request stays valid.

    Twilio signs the address with or without its port, so both count.

    Raises:
        InvalidSignature: the header is missing, repeated or malformed, or does not match, or the body is neither a
            form nor the one whose hash is in the address.
    """
    if _FORM.fullmatch(request.optional_header("content-type") or b""):
        parameters = _parameters(request.body)
    else:
        parameters = b""
        _require_hashed_body(request)
    received = request.header("x-twilio-signature")
    for_each = [_signature(url, parameters, secret, options) for url in _addresses(request.public_url)]
    require_any_equal(received, for_each)


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``I-Twilio-Idempotency-Token``, the same for a retry and not signed, and what the callback is about.

    Raises:
        MalformedEvent: one of them is repeated, too long or not text.
    """
    names = ("EventType", "MessageStatus", "CallStatus", "SmsStatus", "type")
    event_type = next((text for text in (text_at(body, name) for name in names) if text is not None), None)
    return Identity(text_header(request, "i-twilio-idempotency-token"), event_type, id_signed=False)


def sign(
    body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest, options: Options
) -> Signed:
    """Return the headers, and of a body that is no form its hash in the address, with which Twilio would send it."""
    form = _FORM.fullmatch(request.optional_header("content-type") or b"") is not None
    query = "" if form else f"bodySHA256={hashlib.sha256(body).hexdigest()}"
    joint = "&" if "?" in request.public_url else "?"
    url = request.public_url + (joint + query if query else "")
    signature = _signature(url, _parameters(body) if form else b"", secret, options).decode()
    return Signed({"I-Twilio-Idempotency-Token": event_id, "X-Twilio-Signature": signature}, query=query)


def _signature(url: str, parameters: bytes, secret: bytes, options: Options) -> bytes:
    return base64.b64encode(hmac.digest(secret, url.encode() + parameters, options.algorithm))


def _parameters(body: bytes) -> bytes:
    try:
        text = body.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="surrogateescape", max_num_fields=FORM_FIELDS_MAX)
    except ValueError as error:
        raise InvalidSignature("the form cannot be read") from error
    return "".join(name + value for name, value in sorted(set(pairs))).encode("utf-8", "surrogateescape")


def _require_hashed_body(request: SignedRequest) -> None:
    digest = request.parameter("bodySHA256")
    if digest is None:
        raise InvalidSignature("the body is no form, and the address has no bodySHA256")
    require_equal(hashlib.sha256(request.body).hexdigest().encode(), digest.encode("utf-8", "replace"))


def _addresses(url: str) -> list[str]:
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise InvalidSignature("the public address cannot be read") from error
    if not host:
        raise InvalidSignature("the public address is not known")
    without, _, _ = parts.netloc.rpartition(":") if port is not None else (parts.netloc, "", "")
    with_port = f"{without}:{port or (443 if parts.scheme == 'https' else 80)}"
    head, _, tail = url.partition(parts.netloc)
    return [url, head + without + tail, head + with_port + tail]
