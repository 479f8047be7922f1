"""A record of an events topic that fan-out has taken."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from streams.event import Event, UnreadableRecord


class Revoked(Exception):
    """The partition of the record is, or may be, another worker's by now: write nothing, acknowledge nothing."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One record of an events topic, raw, and the group generation under which this worker took it."""

    topic: str
    source: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]
    generation: int = 0


def read_event(record: Taken) -> Event:
    """Return the event in a record of its source's topic.

    Raises:
        UnreadableRecord: it is none, or another source's.
    """
    event = Event.from_record(record.key, record.value, record.headers)
    if event.source != record.source:
        raise UnreadableRecord(f"an event of source {event.source!r} in the topic of {record.source!r}")
    return event
