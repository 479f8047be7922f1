"""Pausing and resuming a destination from the command line."""

from __future__ import annotations

import time

from headrace.context import Settings
from headrace.mistakes import closest
from streams.kafka import producing
from streams.pauses import Pause, pause_record, publish, read_pauses, resume_record


class UnknownDestination(Exception):
    """The routing table has no destination of this name."""


async def pause(settings: Settings, destination: str, reason: str) -> None:
    """Pause ``destination`` and return when that is acknowledged.

    Raises:
        UnknownDestination: the routing table does not have it.
        KafkaUnavailable: the broker does not answer.
    """
    _check(settings, destination)
    record = pause_record(settings.topic_names, destination, reason, now_ms=int(time.time() * 1000))
    async with producing(settings.kafka()) as producer:
        await publish(producer, record)


async def resume(settings: Settings, destination: str) -> Pause | None:
    """Resume ``destination`` and return the pause that ended, if there was one; raises as `pause`."""
    kafka, names = settings.kafka(), settings.topic_names
    before = (await read_pauses(kafka, names)).get(destination)
    if before is None:  # a destination that was taken out of the table can still be resumed
        _check(settings, destination)
        return None
    async with producing(kafka) as producer:
        await publish(producer, resume_record(names, destination))
    return before


def _check(settings: Settings, destination: str) -> None:
    known = settings.table().destinations
    if destination not in known:
        suggestion = closest(destination, known, kind="destinations")
        raise UnknownDestination(f"the routing table has no destination {destination!r}: {suggestion}")
