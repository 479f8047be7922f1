"""What the ``headrace queue`` command does; how it looks is in ``headrace/commands/queue.py``."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

from headrace.context import Settings
from headrace.pausing import check_destination
from streams.acknowledged import publish_each
from streams.cancellations import Cancellation, Cancellations
from streams.event import format_time
from streams.kafka import producing, read_topic
from streams.pauses import Pause, read_pauses
from streams.waiting import Waiting, WaitingSelection, read_waiting


@dataclass(frozen=True, slots=True)
class Waits:
    """What waits for a destination, oldest event first; what of it is cancelled; and the pause that holds it up."""

    deliveries: list[Waiting]
    cancellations: Cancellations
    pause: Pause | None


async def list_waiting(settings: Settings, destination: str, selection: WaitingSelection) -> Waits:
    """Return the selected deliveries that wait for ``destination``.

    Raises:
        UnknownDestination: the routing table does not have it.
        KafkaUnavailable: the broker does not answer.
    """
    table = check_destination(settings, destination)
    kafka, names = settings.kafka(table), settings.topic_names
    cancellations = Cancellations()
    async for record in read_topic(kafka, names.cancellations):
        cancellations.apply(record.key, record.value)
    found: dict[str, Waiting] = {}  # a copy that a crash made is one delivery
    async for waiting in read_waiting(kafka, names, destination, delays_s=table.delays_s):
        if selection.holds(waiting.delivery):
            found[waiting.delivery.id] = waiting
    ordered = sorted(found.values(), key=lambda waiting: (waiting.delivery.event.time_ms, waiting.delivery.id))
    pause = (await read_pauses(kafka, names)).get(destination)
    return Waits(ordered[: selection.limit], cancellations, pause)


async def cancel(settings: Settings, chosen: Iterable[Waiting], reason: str) -> AsyncIterator[str]:
    """Cancel deliveries; yields each id when that is acknowledged.

    Raises:
        KafkaUnavailable: the broker does not acknowledge one: it and some hundred after it may be cancelled.
    """
    kafka, names = settings.kafka(), settings.topic_names
    since = format_time(int(time.time() * 1000))
    cancellations = (Cancellation(one.delivery.id, one.delivery.replay, reason, since) for one in chosen)
    async with producing(kafka) as producer:
        async for record in publish_each(producer, (one.to_record(names.cancellations) for one in cancellations)):
            yield record.key.decode()


def describe_waiting(waiting: Waiting, waits: Waits) -> dict[str, object]:
    """Return a waiting delivery as JSON shows it, without its body."""
    delivery = waiting.delivery
    return {
        "id": delivery.id,
        "source": delivery.event.source,
        "event_id": delivery.event.id,
        "event_type": delivery.event.type,
        "receipt": str(delivery.receipt),
        "route": delivery.route,
        "destination": delivery.destination,
        "item": delivery.item,
        "priority": "high" if delivery.high else "normal",
        "accepted": delivery.event.time,
        "attempts": delivery.attempts,
        "replays": delivery.replay,
        "due": None if waiting.due_ms is None else format_time(max(waiting.due_ms, delivery.not_before_ms)),
        "cancelled": waits.cancellations.reason(delivery.id, delivery.replay),
        "paused": None if waits.pause is None else str(waits.pause),
        "topic": waiting.topic,
        "partition": waiting.partition,
        "offset": waiting.offset,
    }
