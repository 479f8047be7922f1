"""What is done with one request: verify, parse, publish, and the answer, in this order.

Pure but for ``publish``. A body is looked at only after its signature is right, so an unsigned malformed body gets
401; and 200 is answered only after ``publish`` has returned.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
import structlog

from ingest.scheme import MalformedEvent
from ingest.signature import InvalidSignature, SignedRequest
from ingest.sources import KEPT_BYTES_MAX, Source
from streams.event import BodyTooLarge, Event, MalformedBody, Receipt, UnsupportedBody, parse_body

JSON = "application/json"
RETRY_AFTER_S = 5

log = structlog.get_logger("ingest")


class Unavailable(Exception):
    """The event is not known to be kept: Kafka did not acknowledge it in time. It may still be written later."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. ``outcome`` is the metric's label."""

    status: int
    body: bytes
    outcome: str
    content_type: str = JSON
    retry_after_s: int | None = None
    allow: str | None = None


Publish = Callable[[Event], Awaitable[Receipt]]


def refusal(
    status: int, code: str, detail: str, *, retry_after_s: int | None = None, allow: str | None = None
) -> Answer:
    """Return an answer that refuses: ``detail`` is one sentence without anything from the request's body."""
    body = orjson.dumps({"error": code, "detail": detail})
    return Answer(status, body, code, retry_after_s=retry_after_s, allow=allow)


INVALID_SIGNATURE = refusal(401, "invalid_signature", "Invalid HMAC signature")
UNAVAILABLE = refusal(
    503, "unavailable", "The event could not be stored in time; send it again.", retry_after_s=RETRY_AFTER_S
)


def too_large(source: Source) -> Answer:
    """Return the answer to a body that is larger than the source allows."""
    return refusal(413, "too_large", f"The body is larger than {source.body_bytes_max} bytes.")


async def accept(
    source: Source,
    request: SignedRequest,
    *,
    publish: Publish,
    now_s: float,
    monotonic_s: float,
) -> Answer:
    """Return the answer to a complete request to ``source``.

    Args:
        source: whom the address names.
        request: as received.
        publish: returns when every in-sync replica has the event; raises `Unavailable`.
        now_s: Unix time, for signatures and the event's own time.
        monotonic_s: for the source's rate limit.
    """
    try:
        source.verify(request, now_s=now_s)
    except InvalidSignature as error:
        # The operator may know what is wrong, at a level that is off by default; the sender may not.
        log.debug("signature_refused", source=source.name, reason=str(error))
        return INVALID_SIGNATURE
    limited = _limited(source, monotonic_s)
    if limited is not None:
        return limited
    try:
        event = _event(source, request, now_s)
    except (MalformedBody, MalformedEvent) as error:
        return refusal(400, "malformed", _sentence(error))
    except UnsupportedBody:
        return refusal(415, "unsupported_media_type", "The content type, charset or content encoding is not supported.")
    except BodyTooLarge:
        return too_large(source)
    if isinstance(event, Answer):
        return event
    try:
        receipt = await publish(event)
    except Unavailable:
        return UNAVAILABLE
    return accepted(event, receipt)


def accepted(event: Event, receipt: Receipt) -> Answer:
    """Return the answer to an event that every in-sync replica has."""
    body = orjson.dumps({"status": "queued", "id": event.id, "receipt": str(receipt)})
    return Answer(200, body, "accepted")


def _limited(source: Source, monotonic_s: float) -> Answer | None:
    # After the signature: what is not from the source must not use up its limit.
    wait_s = source.limit.wait_s(monotonic_s) if source.limit is not None else 0.0
    if wait_s <= 0:
        return None
    detail = f"The source {source.name} may send {source.settings.rate}."
    return refusal(429, "too_many_requests", detail, retry_after_s=max(1, math.ceil(wait_s)))


def _event(source: Source, request: SignedRequest, now_s: float) -> Event | Answer:
    content_type, content_encoding = content_headers(request)
    body = parse_body(request.body, content_type, content_encoding, body_bytes_max=source.body_bytes_max)
    if source.scheme.handshake is not None:
        handshake = source.scheme.handshake(body)
        if handshake is not None:
            return Answer(200, handshake.body, "handshake", handshake.content_type)
    return source.event(
        request, body, content_type=content_type, content_encoding=content_encoding, time_ms=int(now_s * 1000)
    )


def content_headers(request: SignedRequest) -> tuple[str, str]:
    """Return the content type and the content encoding, ``""`` for what is missing.

    Raises:
        MalformedEvent: one of them is repeated, not ASCII, or too large.
    """
    return _field(request, b"content-type"), _field(request, b"content-encoding")


def _field(request: SignedRequest, name: bytes) -> str:
    values = request.values(name)
    if not values:
        return ""
    if len(values) > 1 or len(values[0]) > KEPT_BYTES_MAX:
        raise MalformedEvent(f"the header {name.decode()} is repeated or too large")
    try:
        return values[0].decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedEvent(f"the header {name.decode()} is not ASCII") from error


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."
