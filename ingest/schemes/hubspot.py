"""HubSpot: ``X-HubSpot-Signature-v3``, base64 HMAC-SHA256 of method, address, raw body and timestamp; v1 and v2 too.

Source: developers.hubspot.com, "Validating requests" and "Webhooks API". The option ``version`` says which is asked
for, so that nobody can fall back to an older one: v1 and v2 are a bare SHA-256 of secret and request, without a time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field

from ingest.fields import id_at, text_at
from ingest.scheme import Identity, SchemeOptions, require_text
from ingest.signature import InvalidSignature, SignedRequest, hmac_sha256_base64, require_equal, require_fresh_ms

KEPT_HEADERS = ("x-hubspot-signature-version", "x-hubspot-request-timestamp")
RETRY_WINDOW_S = 24 * 3600  # ten retries
ANSWER_WITHIN_S = 5
TIMESTAMP_TOLERANCE_S = 300
ID_AT, TYPE_AT, SIGNED_ID = "eventId, subscriptionId and occurredAt of body[]", "body[].subscriptionType", True
SIGNS_URL = True
ID_FIELD = "0.eventId"
SAMPLE = [
    {
        "subscriptionId": 12,
        "portalId": 62515,
        "occurredAt": 1700000000000,
        "subscriptionType": "contact.creation",
        "attemptNumber": 0,
        "objectId": 123,
    }
]

# "Decode any of the URL-encoded characters listed in the table below": : / ? @ ! $ ' ( ) * , ;
_DECODED = re.compile("%(3A|2F|3F|40|21|24|27|28|29|2A|2C|3B)", re.IGNORECASE)


class Options(SchemeOptions):
    """The scheme's keys of a source."""

    version: Annotated[Literal["v1", "v2", "v3"], Field(description="Which of HubSpot's signatures is checked.")] = "v3"


def verify(request: SignedRequest, *, secret: bytes, now_s: float, options: Options) -> None:
    """Return only if HubSpot signed this request, within five minutes of now by v3.

    Raises:
        InvalidSignature: a header is missing, repeated, malformed or stale, or does not match.
    """
    if options.version == "v3":
        timestamp = request.header("x-hubspot-request-timestamp")
        require_fresh_ms(timestamp, now_s=now_s, age_s_max=TIMESTAMP_TOLERANCE_S)
        expected = hmac_sha256_base64(secret, _signed_text(request.method, request, request.body) + timestamp)
        return require_equal(expected, request.header("x-hubspot-signature-v3"))
    if request.header("x-hubspot-signature-version") != options.version.encode():
        raise InvalidSignature("the header x-hubspot-signature-version is of another version")
    expected = _bare_hash(request.method, request, request.body, secret, options)
    return require_equal(expected, request.header("x-hubspot-signature"))


def split(body: object) -> Sequence[object] | None:
    """Return the events of a list; what a workflow posts is a single one."""
    return body if isinstance(body, list) else None


def identify(request: SignedRequest, body: object) -> Identity:
    """Return ``<eventId>.<subscriptionId>.<occurredAt>``, as HubSpot says that the first is not unique, and the type.

    Raises:
        MalformedEvent: one of them is neither text nor a whole number.
    """
    parts = [id_at(body, name) for name in ("eventId", "subscriptionId", "occurredAt")]
    event_id = None if parts[0] is None else require_text(".".join(part or "" for part in parts), "the event's id")
    return Identity(event_id, text_at(body, "subscriptionType"), id_signed=True)


def sign(
    body: bytes, *, secret: bytes, now_s: float, event_id: str, request: SignedRequest, options: Options
) -> dict[str, str]:
    """Return the headers with which HubSpot would send ``body``, which holds its own ids, to the request's address."""
    if options.version == "v3":
        timestamp = b"%d" % int(now_s * 1000)
        signature = hmac_sha256_base64(secret, _signed_text("POST", request, body) + timestamp)
        return {"X-HubSpot-Request-Timestamp": timestamp.decode(), "X-HubSpot-Signature-v3": signature.decode()}
    signature = _bare_hash("POST", request, body, secret, options)
    return {"X-HubSpot-Signature-Version": options.version, "X-HubSpot-Signature": signature.decode()}


def _signed_text(method: str, request: SignedRequest, body: bytes) -> bytes:
    url = _DECODED.sub(lambda match: chr(int(match[1], 16)), request.public_url)
    return method.encode() + url.encode() + body


def _bare_hash(method: str, request: SignedRequest, body: bytes, secret: bytes, options: Options) -> bytes:
    address = b"" if options.version == "v1" else method.encode() + request.public_url.encode()
    return hashlib.sha256(secret + address + body).hexdigest().encode()
