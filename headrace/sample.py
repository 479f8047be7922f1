"""A sample event from a file: a body, or a captured request as ``headrace verify`` reads it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from ingest.scheme import MalformedEvent, load_scheme
from ingest.signature import SignedRequest
from ingest.sources import Source, SourceSettings
from streams.body import parse_body
from streams.event import ABOUT_HEADER, OWN_SOURCE, UNTYPED, Event, body_sha256, dedup_id
from streams.schedule import Schedule

ROW_KEYS = frozenset({"method", "url", "headers", "body", "body_b64", "at"})


class BadSample(ValueError):
    """The file is no body of this source, and no captured request."""


@dataclass(frozen=True, slots=True)
class Sample:
    """An event as it would be accepted. ``note`` says what could not be told from the file, or is ``""``."""

    event: Event
    note: str = ""
    handshake: bool = False


def read_request(raw: bytes, headers: dict[str, str]) -> SignedRequest:
    """Return the request in ``raw``, a body or a captured row; ``headers`` win over the row's.

    Raises:
        BadSample: it looks like a captured row and is not one.
    """
    row = _row(raw)
    if row is None:
        found: dict[str, str] = {}
        body = raw
    else:
        given: Any = row["headers"]
        pairs = given.items() if isinstance(given, dict) else given
        try:
            found = {str(name).lower(): str(value) for name, value in pairs}
        except (TypeError, ValueError) as error:
            raise BadSample("the row's headers are neither a mapping nor a list of pairs") from error
        body = _row_body(row)
    found.update({name.lower(): value for name, value in headers.items()})
    return SignedRequest("POST", "", tuple((name.encode(), value.encode()) for name, value in found.items()), body)


def sample_events(
    name: str, settings: SourceSettings, request: SignedRequest, *, event_type: str | None, now_ms: int
) -> list[Sample]:
    """Return the event that the source makes of ``request``, or those of a batch; its signature is not looked at.

    Raises:
        BadSample: the source needs something that the request lacks, such as the field that ``event_id`` names.
        MalformedBody, UnsupportedBody, BodyTooLarge: the body cannot be read.
    """
    headers = dict(request.headers)
    content_type = headers.get(b"content-type", b"").decode()
    content_encoding = headers.get(b"content-encoding", b"").decode()
    body = parse_body(request.body, content_type, content_encoding, body_bytes_max=settings.body_bytes_max)
    source = Source(name, settings, load_scheme(settings.scheme), ())
    about: dict[str, Any] = {"content_type": content_type, "content_encoding": content_encoding, "time_ms": now_ms}
    note = ""
    try:
        handshake = _is_handshake(source, request, body)
        items = None if handshake else source.items(body)
        if items is None:
            events = [source.event(request, body, **about)]
        else:
            events = source.events(request, items, time_ms=now_ms)
    except MalformedEvent as error:
        if settings.event_id or settings.partition_by:
            raise BadSample(f"the source would refuse it: {error}") from error
        handshake, note = False, f"{error}: the id is made up, and the type too unless --type says it"
        events = [_unidentified(name, request.body, content_type, content_encoding, now_ms)]
    return [Sample(replace(event, type=event_type or event.type), note, handshake) for event in events]


def _is_handshake(source: Source, request: SignedRequest, body: object) -> bool:
    greeting = source.scheme.greeting
    if greeting is not None and greeting(request, body) is not None:
        return True
    return source.handshake(request, body, secret=b"-", now_s=0.0) is not None


def sample_own_event(body: bytes, *, event_type: str | None, now_ms: int) -> Sample:
    """Return the event of Headrace's own whose body is ``body``, as docs/reference/own-events.md shows them.

    Raises:
        BadSample: it is no JSON object.
    """
    try:
        fields = orjson.loads(body)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise BadSample(f"an event of the source {OWN_SOURCE} is a JSON object")
    event = _unidentified(OWN_SOURCE, body, "application/json", "", now_ms)
    about = {ABOUT_HEADER: str(fields["destination"])} if fields.get("destination") else {}
    return Sample(replace(event, type=event_type or str(fields.get("type", UNTYPED)), headers=about))


def sample_tick(schedules: Sequence[Schedule], body: bytes, *, event_type: str | None, now_ms: int) -> Sample:
    """Return the event that a schedule would make now, with ``body`` for its own: that of the schedule ``event_type``.

    Without a type it is the first schedule's. An empty body is the schedule's own.

    Raises:
        BadSample: there is no such schedule.
    """
    found = [schedule for schedule in schedules if event_type in (None, schedule.name)]
    if not found:
        known = ", ".join(schedule.name for schedule in schedules)
        raise BadSample(f"there is no schedule {event_type!r} (known: {known})")
    event = found[0].tick(now_ms // 1000 * 1000, now_ms=now_ms)
    note = f"as if {event.type} were due now" if event_type is None and len(schedules) > 1 else ""
    return Sample(replace(event, body=body) if body.strip() else event, note)


def _unidentified(name: str, body: bytes, content_type: str, content_encoding: str, now_ms: int) -> Event:
    key = dedup_id(None, body, id_signed=False)
    return Event(
        source=name,
        id=body_sha256(body),
        dedup_id=key,
        type=UNTYPED,
        time_ms=now_ms,
        body=body,
        key=key.encode(),
        content_type=content_type,
        content_encoding=content_encoding,
    )


def _row(raw: bytes) -> dict[str, object] | None:
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if isinstance(value, dict) and "headers" in value and value.keys() & {"body", "body_b64"}:
        return value if value.keys() <= ROW_KEYS else None
    return None


def _row_body(row: dict[str, object]) -> bytes:
    encoded = row.get("body_b64")
    if isinstance(encoded, str):
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise BadSample("the row's body_b64 is not base64") from error
    body = row.get("body")
    return body.encode() if isinstance(body, str) else orjson.dumps(body)
