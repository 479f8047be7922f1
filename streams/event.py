"""An event: one thing that happened, as received.

The Kafka form follows the CloudEvents Kafka protocol binding 1.0.2 in binary mode: the value is the body exactly as
received, so that it can be verified again, and everything else is a header.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from streams.body import parse_body

RECORD_VERSION = b"1"
UNTYPED = "webhook"  # CloudEvents requires a type; this one stands for events whose provider names none
KEPT_HEADER_PREFIX = "header."

OWN_SOURCE = "headrace"  # of what Headrace itself has to tell: `streams.own_events`
OWN_TYPES = ("dead_letter", "circuit_opened", "destination_paused", "spool_filling")
SCHEDULES_SOURCE = "schedules"  # of the events that schedules make: `streams.schedule`
RESERVED_SOURCES = frozenset(
    {OWN_SOURCE, SCHEDULES_SOURCE}
)  # no routing table declares them, and nobody can post to them
QUERY_HEADER = "headrace-query"  # a kept header: the query of the request, for sources that a mirror takes
ABOUT_HEADER = "headrace-destination"  # a kept header of own events: the destination whose trouble they tell

RecordHeaders = Iterable[tuple[str, bytes]]
_RECEIPT = re.compile(r"([a-z0-9][a-z0-9-]{0,62})/([0-9]{1,9})/([0-9]{1,18})", re.ASCII)


class UnreadableRecord(ValueError):
    """A Kafka record is not an event of a version that this code reads."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """An event's address in the log, written ``source/partition/offset``."""

    source: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.source}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Receipt:
        """Read ``source/partition/offset``.

        Raises:
            ValueError: the text has another form.
        """
        match = _RECEIPT.fullmatch(text)
        if match is None:
            raise ValueError(f"not a receipt: {text!r} (expected source/partition/offset)")
        return cls(match[1], int(match[2]), int(match[3]))


@dataclass(frozen=True, slots=True)
class Event:
    """One accepted webhook.

    ``body`` is raw. ``headers`` are the kept provider headers, lower-case names, decoded as UTF-8 with replacement.
    ``key`` is the Kafka key: the dedup id, or what the source's ``partition_by`` says. ``time_ms`` is the moment of
    acceptance in Unix milliseconds.
    """

    source: str
    id: str
    dedup_id: str
    type: str
    time_ms: int
    body: bytes
    key: bytes
    content_type: str = ""
    content_encoding: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def time(self) -> str:
        """The moment of acceptance as RFC 3339 in UTC with milliseconds."""
        return format_time(self.time_ms)

    @property
    def about(self) -> str:
        """The destination that an own event is about; empty for every other event. It is never told to that one."""
        return self.headers.get(ABOUT_HEADER, "") if self.source == OWN_SOURCE else ""

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Return the record headers of this event; its value is ``body`` and its key ``key``."""
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", self.time.encode()),
            ("content-type", self.content_type.encode()),
            ("headrace-version", RECORD_VERSION),
            ("headrace-dedup-id", self.dedup_id.encode()),
        ]
        if self.content_encoding:
            headers.append(("content-encoding", self.content_encoding.encode()))
        headers.extend((KEPT_HEADER_PREFIX + name, value.encode()) for name, value in self.headers.items())
        return headers

    @classmethod
    def from_record(cls, key: bytes | None, value: bytes | None, headers: RecordHeaders) -> Event:
        """Read an event back from a record's raw key, value and headers; headers of other kinds are passed over.

        Raises:
            UnreadableRecord: a required header is missing or malformed, or the version is unknown.
        """
        try:
            fields = {name: raw.decode() for name, raw in headers}
            if fields["headrace-version"].encode() != RECORD_VERSION:
                raise UnreadableRecord(f"unknown record version {fields['headrace-version']!r}")
            return cls(
                source=fields["ce_source"],
                id=fields["ce_id"],
                dedup_id=fields["headrace-dedup-id"],
                type=fields["ce_type"],
                time_ms=parse_time(fields["ce_time"]),
                body=value or b"",
                key=key if key is not None else fields["headrace-dedup-id"].encode(),
                content_type=fields.get("content-type", ""),
                content_encoding=fields.get("content-encoding", ""),
                headers={
                    name.removeprefix(KEPT_HEADER_PREFIX): text
                    for name, text in fields.items()
                    if name.startswith(KEPT_HEADER_PREFIX)
                },
            )
        except KeyError as error:
            raise UnreadableRecord(f"the record has no header {error.args[0]}") from error
        except (ValueError, AttributeError) as error:
            raise UnreadableRecord(f"a record header cannot be read: {error}") from error

    def scope(self, receipt: Receipt, *, body_bytes_max: int) -> dict[str, object]:
        """Return the names that expressions see: ``body`` (parsed), ``event`` and ``headers``.

        Raises:
            MalformedBody, UnsupportedBody, BodyTooLarge: as `parse_body`.
        """
        body = parse_body(self.body, self.content_type, self.content_encoding, body_bytes_max=body_bytes_max)
        event = {"id": self.id, "source": self.source, "type": self.type, "time": self.time, "receipt": str(receipt)}
        return {"body": body, "event": event, "headers": self.headers}


def format_time(time_ms: int) -> str:
    """Return Unix milliseconds as RFC 3339 in UTC, such as ``2026-01-02T03:04:05.678Z``."""
    seconds, millis = divmod(time_ms, 1000)
    return f"{_format_second(seconds)}.{millis:03d}Z"


@lru_cache(maxsize=8)  # strftime costs more than the rest of an event's headers
def _format_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def parse_time(text: str) -> int:
    """Return RFC 3339 as Unix milliseconds; a time without an offset is taken as UTC.

    Raises:
        ValueError: the text is not such a time.
    """
    moment = datetime.fromisoformat(text)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def body_sha256(body: bytes) -> str:
    """Return the hex SHA-256 of the body: the event id of a provider that gives none."""
    return hashlib.sha256(body).hexdigest()


def dedup_id(event_id: str | None, body: bytes, *, id_signed: bool) -> str:
    """Return the id that keys records, ``seen`` and deliveries.

    It is the event id where the provider's signature covers that id, else the SHA-256 of id and body, so that a
    captured body sent again under another event's id cannot suppress that event.
    """
    if event_id is None:
        return body_sha256(body)
    if id_signed:
        return event_id
    encoded = event_id.encode()
    return hashlib.sha256(b"%d:%b:" % (len(encoded), encoded) + body).hexdigest()
