"""What waits for a destination: the unsettled records of its queues, and those of the retry topics that go there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams.delivery import Delivery
from streams.event import UnreadableRecord
from streams.kafka import KafkaSettings, KafkaUnavailable, read_topic
from streams.offsets import decode_settled
from streams.retries import due_ms
from streams.topics import TopicNames


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that is not settled, without its body. ``due_ms`` is when a delayed one comes back, else ``None``."""

    delivery: Delivery
    topic: str
    partition: int
    offset: int
    due_ms: int | None = None


@dataclass(frozen=True, slots=True)
class WaitingSelection:
    """Which waiting deliveries a command is about; times, of accepting the event, are Unix milliseconds."""

    source: str | None = None
    route: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    id: str | None = None
    limit: int | None = None

    def holds(self, delivery: Delivery) -> bool:
        """Return whether ``delivery`` is selected, ``limit`` aside; ``id`` may be the beginning of an id."""
        event = delivery.event
        return (
            (self.source is None or event.source == self.source)
            and (self.route is None or delivery.route == self.route)
            and (self.since_ms is None or event.time_ms >= self.since_ms)
            and (self.until_ms is None or event.time_ms < self.until_ms)
            and (self.id is None or delivery.id.startswith(self.id))
        )


async def read_waiting(
    kafka: KafkaSettings, names: TopicNames, destination: str, *, delays_s: Collection[int]
) -> AsyncIterator[Waiting]:
    """Yield what waits for ``destination`` now, or is in work, queue by queue; what cannot be read is passed over.

    Raises:
        KafkaUnavailable: the broker does not answer.
    """
    queues = {names.deliveries(destination, high=high): names.deliver_group(destination) for high in (True, False)}
    retries = {names.retries(delay_s): delay_s for delay_s in sorted(delays_s)}
    groups = {**queues, **dict.fromkeys(retries, names.retries_group)}
    settled, existing = await _settled(kafka, groups)
    for topic in existing:
        async for record in read_topic(kafka, topic):
            first, beyond = settled.get(TopicPartition(topic, record.partition), (0, set[int]()))
            if record.offset < first or record.offset in beyond:
                continue
            try:
                delivery = Delivery.from_record(record.key, b"", record.headers)
            except UnreadableRecord:
                continue
            if delivery.destination == destination:
                due = due_ms(record, retries[topic]) if topic in retries else None
                yield Waiting(delivery, topic, record.partition, record.offset, due)


async def _settled(
    kafka: KafkaSettings, groups: Mapping[str, str]
) -> tuple[dict[TopicPartition, tuple[int, set[int]]], list[str]]:
    """Return what each partition's commit says is settled, and which of the topics exist."""
    settled = {}
    try:
        async with kafka.admin() as admin:
            described = await admin.describe_topics(list(groups))
            for group in sorted(set(groups.values())):
                for part, found in (await admin.list_consumer_group_offsets(group)).items():
                    settled[part] = (found.offset, decode_settled(found.offset, found.metadata or ""))
    except (KafkaError, TimeoutError, OSError) as error:
        if isinstance(error, KafkaUnavailable):
            raise
        raise await kafka.unavailable(error) from error
    existing = {topic["topic"] for topic in described if topic["error_code"] == 0}
    return settled, [topic for topic in groups if topic in existing]
