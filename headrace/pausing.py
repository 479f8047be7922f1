"""Pausing and resuming a destination from the command line."""

from __future__ import annotations

import time

from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.mistakes import closest
from streams.event import format_time
from streams.kafka import producing
from streams.own_events import OwnEvents, destination_paused
from streams.pauses import Pause, publish, read_pauses, resume_record


class UnknownDestination(Exception):
    """The routing table has no destination of this name."""


async def pause(settings: Settings, destination: str, reason: str) -> None:
    """Pause ``destination``, tell the routes of Headrace's own events, and return when both are acknowledged.

    Raises:
        UnknownDestination: the routing table does not have it.
        KafkaUnavailable: the broker does not answer.
    """
    table = check_destination(settings, destination)
    kafka, names, now_ms = settings.kafka(), settings.topic_names, int(time.time() * 1000)
    before = (await read_pauses(kafka, names)).get(destination)
    paused = Pause(destination, reason, format_time(now_ms))
    told = OwnEvents(names, table.compiled_routes).records(destination_paused(paused, now_ms=now_ms))
    async with producing(kafka) as producer:
        await publish(producer, paused.to_record(names.pauses))
        for record in told if before is None else ():
            await publish(producer, record)


async def resume(settings: Settings, destination: str) -> Pause | None:
    """Resume ``destination`` and return the pause that ended, if there was one; raises as `pause`."""
    kafka, names = settings.kafka(), settings.topic_names
    before = (await read_pauses(kafka, names)).get(destination)
    if before is None:  # a destination that was taken out of the table can still be resumed
        check_destination(settings, destination)
        return None
    async with producing(kafka) as producer:
        await publish(producer, resume_record(names, destination))
    return before


def check_destination(settings: Settings, destination: str) -> RoutingTable:
    """Return the routing table, which has ``destination``.

    Raises:
        UnknownDestination: it has not.
    """
    table = settings.table()
    if destination not in table.destinations:
        suggestion = closest(destination, table.destinations, kind="destinations")
        raise UnknownDestination(f"the routing table has no destination {destination!r}: {suggestion}")
    return table
