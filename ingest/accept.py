"""What is done with one request: verify, parse, publish, and the answer, in this order.

Pure but for ``publish``. A body is looked at only after its signature is right, so an unsigned malformed body gets
401; and 200 is answered only after ``publish`` has returned.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson
import structlog

from ingest.documents import Documents, DocumentUnavailable
from ingest.scheme import Handshake, MalformedEvent
from ingest.signature import InvalidSignature, SignedRequest
from ingest.sources import KEPT_BYTES_MAX, Match, Source
from streams.body import BodyTooLarge, MalformedBody, UnsupportedBody, parse_body
from streams.event import Event, Receipt

JSON = "application/json"
RETRY_AFTER_S = 5
REASON_CHARS_MAX = 300

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
    headers: tuple[tuple[str, str], ...] = ()


Publish = Callable[[Event], Awaitable[Receipt | None]]  # ``None``: the spool has it


def refusal(
    status: int, code: str, detail: str, *, retry_after_s: int | None = None, allow: str | None = None
) -> Answer:
    """Return an answer that refuses: ``detail`` is one sentence without anything from the request's body."""
    body = orjson.dumps({"error": code, "detail": detail})
    return Answer(status, body, code, retry_after_s=retry_after_s, allow=allow)


def ignore_match(source: str, position: int) -> None:
    """Count nothing."""


INVALID_SIGNATURE = refusal(401, "invalid_signature", "Invalid HMAC signature")
UNSUPPORTED = refusal(415, "unsupported_media_type", "The content type, charset or content encoding is not supported.")
UNAVAILABLE = refusal(
    503, "unavailable", "The event could not be stored in time; send it again.", retry_after_s=RETRY_AFTER_S
)


def too_large(source: Source) -> Answer:
    """Return the answer to a body that is larger than the source allows."""
    return refusal(413, "too_large", f"The body is larger than {source.body_bytes_max} bytes.")


def turned_away(source: Source, answer: Answer, reason: str) -> Answer:
    """Return ``answer``, and log why: the provider gives this event up in the end, and then it is lost."""
    log.warning("event_refused", source=source.name, outcome=answer.outcome, reason=reason[:REASON_CHARS_MAX])
    return answer


async def accept(
    source: Source,
    request: SignedRequest,
    *,
    publish: Publish,
    now_s: float,
    monotonic_s: float,
    documents: Documents | None = None,
    count_match: Callable[[str, int], None] = ignore_match,
) -> Answer:
    """Return the answer to a complete request to ``source``.

    Args:
        source: whom the address names.
        request: as received.
        publish: returns when every in-sync replica has the event, or the spool; raises `Unavailable`.
        now_s: Unix time, for signatures and the event's own time.
        monotonic_s: for the source's rate limit.
        documents: where certificates come from, for schemes that need them.
        count_match: called with the source's name and the position of the secret that matched, from 1.
    """
    if request.method == "GET":
        return challenged(source, request, now_s=now_s)
    if request.method == "HEAD":  # it says nothing that a post to this address would not
        return Answer(200, b"", "handshake", "text/plain; charset=utf-8")
    greeting = _greeting(source, request)
    if greeting is not None:
        return greeting
    try:
        match = source.verify(request, now_s=now_s, document=await _document(source, request, documents))
    except InvalidSignature as error:
        return _refused(source, request, error)
    except DocumentUnavailable as error:
        log.warning("certificate_unavailable", source=source.name, error=str(error))
        return UNAVAILABLE
    count_match(source.name, match.position)
    limited = _limited(source, monotonic_s)
    if limited is not None:
        return limited
    try:
        events = _events(source, request, match, now_s)
    except (MalformedBody, MalformedEvent) as error:
        return turned_away(source, refusal(400, "malformed", _sentence(error)), str(error))
    except UnsupportedBody as error:
        return turned_away(source, UNSUPPORTED, str(error))
    except BodyTooLarge as error:
        return turned_away(source, too_large(source), str(error))
    if isinstance(events, Answer):
        return events
    try:
        if isinstance(events, Event):
            return accepted(events, await publish(events))
        return accepted_batch(events, await _publish_all(events, publish))
    except Unavailable:
        return UNAVAILABLE


def challenged(source: Source, request: SignedRequest, *, now_s: float) -> Answer:
    """Return the answer to a GET by which a provider checks the address; nothing is queued."""
    try:
        return _handshake(source.challenge(request, now_s=now_s))
    except InvalidSignature as error:
        return _refused(source, request, error)


def accepted(event: Event, receipt: Receipt | None) -> Answer:
    """Return the answer to an event that every in-sync replica has, or, without a receipt, the spool."""
    body = orjson.dumps({"status": "queued", "id": event.id, "receipt": str(receipt) if receipt else None})
    return Answer(200, body, "accepted")


def accepted_batch(events: Sequence[Event], receipts: Sequence[Receipt | None]) -> Answer:
    """Return the answer to a batch, every event of which is kept: a receipt is null where the spool has it."""
    ids = [event.id for event in events]
    written = [str(receipt) if receipt else None for receipt in receipts]
    body = orjson.dumps({"status": "queued", "ids": ids, "receipts": written})
    return Answer(200, body, "accepted")


async def _publish_all(events: Sequence[Event], publish: Publish) -> list[Receipt | None]:
    """Publish every event, and return only when each is kept.

    Raises:
        Unavailable: at least one is not known to be; the whole batch comes again, and fan-out drops those that were.
    """
    results = await asyncio.gather(*(publish(event) for event in events), return_exceptions=True)
    receipts = [result for result in results if not isinstance(result, BaseException)]
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return receipts


async def _document(source: Source, request: SignedRequest, documents: Documents | None) -> bytes | None:
    if source.needs is None:
        return None
    url = source.needs(request)
    if documents is None:
        raise DocumentUnavailable("nothing fetches certificates here")
    return await documents.get(url, hosts=source.scheme.document_hosts)


def _greeting(source: Source, request: SignedRequest) -> Answer | None:
    """Return the answer to a first request that its provider cannot sign yet, or ``None`` for everything else."""
    if source.scheme.greeting is None:
        return None
    try:
        body = request.parsed_body() if request.body else None
    except InvalidSignature:
        return None  # `verify` decides
    found = source.scheme.greeting(request, body)
    return _handshake(found) if found is not None else None


def _handshake(handshake: Handshake) -> Answer:
    # What is echoed must never be run by a browser that somebody led here.
    headers = (*handshake.headers, ("X-Content-Type-Options", "nosniff"))
    return Answer(handshake.status, handshake.body, "handshake", handshake.content_type, headers=headers)


def _refused(source: Source, request: SignedRequest, error: InvalidSignature) -> Answer:
    """Return the one answer to all of them, and log why: the operator may know what is wrong, the sender may not.

    Anybody can cause such a line; the log writes few of those that repeat (`headrace.repeats`).
    """
    about: dict[str, object] = {"reason": str(error)}
    if len(source.secrets) > 1:
        about["secrets"] = len(source.secrets)  # each was tried; the reason is that of the last
    if source.scheme.signs_url:  # a wrong public_url is what is wrong most often; a query may hold a password
        about["address"] = request.public_url.partition("?")[0][:REASON_CHARS_MAX]
    log.warning("signature_refused", source=source.name, **about)
    return INVALID_SIGNATURE


def _limited(source: Source, monotonic_s: float) -> Answer | None:
    # After the signature: what is not from the source must not use up its limit.
    wait_s = source.limit.wait_s(monotonic_s) if source.limit is not None else 0.0
    if wait_s <= 0:
        return None
    detail = f"The source {source.name} may send {source.settings.rate}."
    return refusal(429, "too_many_requests", detail, retry_after_s=max(1, math.ceil(wait_s)))


def _events(source: Source, request: SignedRequest, match: Match, now_s: float) -> Event | list[Event] | Answer:
    content_type, content_encoding = content_headers(request)
    body = parse_body(request.body, content_type, content_encoding, body_bytes_max=source.body_bytes_max)
    handshake = source.handshake(request, body, secret=match.secret, now_s=now_s)
    if handshake is not None:
        return _handshake(handshake)
    time_ms = int(now_s * 1000)
    items = source.items(body)
    if items is not None:
        return source.events(request, items, time_ms=time_ms)
    return source.event(request, body, content_type=content_type, content_encoding=content_encoding, time_ms=time_ms)


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
