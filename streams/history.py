"""Looking back: one event from the log, and what became of each of its deliveries."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.event import Event, Receipt, UnreadableRecord
from streams.kafka import KafkaSettings, read_topic, reading
from streams.outcome import Outcome
from streams.topics import TopicNames

FETCH_TIMEOUT_S = 15.0


class NoSuchEvent(Exception):
    """The log does not hold the event: another address, or older than the retention."""


@dataclass(frozen=True, slots=True)
class Found:
    """An event and its address."""

    receipt: Receipt
    event: Event


async def read_event(kafka: KafkaSettings, names: TopicNames, receipt: Receipt) -> Found:
    """Return the event at ``receipt``.

    Raises:
        NoSuchEvent: nothing stands there (any more), or it is no event.
        KafkaUnavailable: the broker does not answer.
    """
    part = TopicPartition(names.events(receipt.source), receipt.partition)
    async with reading(kafka, part.topic, partitions=[part.partition]) as (consumer, ends):
        first = (await consumer.beginning_offsets([part]))[part] if part in ends else 0
        if part not in ends or not first <= receipt.offset < ends[part]:
            raise NoSuchEvent(f"{receipt} is not in the log: it was never there, or its retention has passed")
        consumer.seek(part, receipt.offset)
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_S):
                record = await consumer.getone(part)
        except (KafkaError, TimeoutError) as error:
            raise await kafka.unavailable(error) from error
    try:
        return Found(receipt, Event.from_record(record.key, record.value, record.headers))
    except UnreadableRecord as error:
        raise NoSuchEvent(f"{receipt} cannot be read: {error} (`headrace dlq list` shows unreadable events)") from error


async def find_events(
    kafka: KafkaSettings, names: TopicNames, source: str, event_id: str, *, since_ms: int | None
) -> AsyncIterator[Found]:
    """Yield every event of ``source`` with this event id (a provider's repeat is another record of the same id).

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    async for record in read_topic(kafka, names.events(source), since_ms=since_ms):
        try:
            event = Event.from_record(record.key, record.value, record.headers)
        except UnreadableRecord:
            continue
        if event.id == event_id:
            yield Found(Receipt(source, record.partition, record.offset), event)


async def outcomes_of(
    kafka: KafkaSettings, names: TopicNames, found: Found, *, delivery_ids: Collection[str] = (), since_ms: int | None
) -> dict[str, Outcome]:
    """Return the newest outcome of each delivery of the event, by delivery id.

    A provider's repeat has a receipt of its own, and its deliveries are those of the first: their outcomes are found
    by ``delivery_ids``, and name the first's receipt. ``since_ms`` passes over what was written before it.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    newest: dict[str, Outcome] = {}
    async for record in read_topic(kafka, names.outcomes, since_ms=since_ms):
        if record.value is None:  # erased
            newest.pop((record.key or b"").decode(errors="replace"), None)
            continue
        try:
            outcome = Outcome.from_record(record.value or b"")
        except UnreadableRecord:
            continue
        if outcome.receipt == str(found.receipt) or outcome.delivery_id in delivery_ids:
            newest[outcome.delivery_id] = outcome
    return newest
