"""How to reach Kafka: the one place that builds aiokafka clients."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
)

from streams.broker_words import said_by
from streams.closing import close_within
from streams.security import Security, find_fault

SESSION_TIMEOUT_S = 10.0
HEARTBEAT_S = 2.0
FETCH_BYTES_MAX = 4 * 1024 * 1024  # one fetch of one consumer; a larger single record still passes (KIP-74)
PARTITION_FETCH_BYTES_MAX = 512 * 1024
MAX_POLL_INTERVAL_MS = 2**31 - 1  # our own watchdog judges progress; a paused queue is not a dead consumer
READ_TIMEOUT_S = 30.0
CLOSE_S_MAX = 5.0
BATCH_BYTES_MAX = 256 * 1024  # the broker holds a whole batch to max.message.bytes, so no topic may allow less
OVERHEAD_BYTES = 64 * 1024  # headers of a record, at most; those of a dead letter are the largest


# What the start of a client may end with. The last two: a SCRAM broker that does not prove itself (aiokafka asserts).
FAILURES = (KafkaError, TimeoutError, OSError, ValueError, AssertionError)
NOT_ALLOWED = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


class KafkaUnavailable(Exception):
    """Kafka did not answer within the time given."""


class KafkaRefused(KafkaUnavailable):
    """Kafka answered, and refuses this client, or is not trusted by it: waiting does not help."""


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """How to reach Kafka.

    ``record_bytes_max`` is the largest record that any client sends, headers included; ``compression`` is what
    producers compress with, as aiokafka names it, ``None`` for nothing.
    """

    bootstrap_servers: str
    topic_prefix: str = ""
    record_bytes_max: int = 1024 * 1024 + OVERHEAD_BYTES
    security: Security = field(default_factory=Security)
    compression: str | None = None

    def client_options(self) -> dict[str, Any]:
        """Return the options that every aiokafka client takes."""
        return {"bootstrap_servers": self.bootstrap_servers, **self.security.client_options()}

    async def unavailable(self, error: BaseException) -> KafkaUnavailable:
        """Return what ``error`` of a client means, for ``raise … from``; asks the brokers, within seconds."""
        if isinstance(error, NOT_ALLOWED):
            return KafkaRefused(
                f"Kafka at {self.bootstrap_servers} does not allow it: {said_by(error)} (an ACL is missing)"
            )
        fault = await find_fault(self.bootstrap_servers, self.security)
        if fault is None:
            reason = said_by(error) or "it took too long"
            return KafkaUnavailable(f"Kafka at {self.bootstrap_servers} could not answer: {reason}")
        return (KafkaRefused if fault.refused else KafkaUnavailable)(fault.sentence)

    def producer(self, **options: Any) -> AIOKafkaProducer:
        """Return a producer, not started, whose sends resolve when all in-sync replicas have the record."""
        # Idempotent: a retry within the client cannot write twice or reorder (docs/adr/0005).
        return AIOKafkaProducer(
            **{
                "acks": "all",
                "enable_idempotence": True,
                "max_request_size": self.record_bytes_max + OVERHEAD_BYTES,
                "max_batch_size": BATCH_BYTES_MAX,
                "linger_ms": 1,
                "request_timeout_ms": 10_000,
                "compression_type": self.compression,
                **self.client_options(),
                **options,
            }
        )

    def consumer(self, *topics: str, group_id: str | None = None, **options: Any) -> AIOKafkaConsumer:
        """Return a consumer, not started, that commits nothing by itself and begins at the earliest offset."""
        return AIOKafkaConsumer(
            *topics,
            **{
                "group_id": group_id,
                "enable_auto_commit": False,
                "auto_offset_reset": "earliest",
                "session_timeout_ms": int(SESSION_TIMEOUT_S * 1000),
                "heartbeat_interval_ms": int(HEARTBEAT_S * 1000),
                "max_poll_interval_ms": MAX_POLL_INTERVAL_MS,
                "fetch_max_bytes": FETCH_BYTES_MAX,
                "max_partition_fetch_bytes": PARTITION_FETCH_BYTES_MAX,
                **self.client_options(),
                **options,
            },
        )

    @contextlib.asynccontextmanager
    async def admin(self) -> AsyncIterator[AIOKafkaAdminClient]:
        """Return an admin client, started.

        Raises:
            KafkaUnavailable: no broker answers, now or while the block runs.
            KafkaRefused: one does, and refuses this client.
        """
        admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **self.client_options())
        try:
            async with asyncio.timeout(15):
                await admin.start()
        except FAILURES as error:
            await _close_quietly(admin.close)
            raise await self.unavailable(error) from error
        try:
            yield admin
        except (NodeNotReadyError, RequestTimedOutError, KafkaConnectionError) as error:
            raise await self.unavailable(error) from error
        finally:
            await _close_quietly(admin.close)


def records_waiting(producer: AIOKafkaProducer | None) -> int:
    """Return how many records a producer has taken and Kafka has not acknowledged."""
    if producer is None:
        return 0
    accumulator = producer._message_accumulator  # nothing public tells it
    batches = [batch for batches in accumulator._batches.values() for batch in batches]
    return sum(int(batch.record_count) for batch in [*batches, *accumulator._pending_batches])


@contextlib.asynccontextmanager
async def producing(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """Give a producer for a few records, started, and stop it.

    Raises:
        KafkaUnavailable: the broker does not answer, or does not acknowledge.
    """
    producer = settings.producer()
    try:
        async with asyncio.timeout(15):
            await producer.start()
        yield producer
    except (KafkaError, TimeoutError, OSError) as error:
        raise await settings.unavailable(error) from error
    finally:
        await _close_quietly(producer.stop)


async def _close_quietly(close: Callable[[], Any]) -> None:
    with contextlib.suppress(AttributeError):  # of a client that has not come far
        await close_within(CLOSE_S_MAX, close())


async def wait_for_kafka(settings: KafkaSettings, *, timeout_s: float | None = None, pause_s: float = 1.0) -> None:
    """Return when a broker answers.

    Raises:
        KafkaUnavailable: none did within ``timeout_s``.
        KafkaRefused: one does, and refuses this client: at once.
    """
    why = f"no Kafka broker answers at {settings.bootstrap_servers}"
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                try:
                    async with settings.admin():
                        return
                except KafkaRefused:
                    raise
                except KafkaUnavailable as error:
                    why = str(error)
                await asyncio.sleep(pause_s)
    except TimeoutError as error:
        raise KafkaUnavailable(why) from error


async def read_topic(
    settings: KafkaSettings, topic: str, *, since_ms: int | None = None, partitions: Collection[int] | None = None
) -> AsyncIterator[Any]:
    """Yield every record of ``topic`` up to the end that it has now, in order within each partition.

    ``since_ms`` begins at the first record of that time or later. Needs no group and leaves no trace.

    Raises:
        KafkaUnavailable: the broker does not answer, or stops answering.
    """
    async with reading(settings, topic, since_ms=since_ms, partitions=partitions) as (consumer, ends):
        async for record in records_to_ends(consumer, ends):
            yield record


async def records_to_ends(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> AsyncIterator[Any]:
    """Yield what an assigned consumer has still to read before the given ends.

    Raises:
        TimeoutError: nothing came for `READ_TIMEOUT_S`.
    """
    remaining = set(ends)
    while remaining:
        # The position also passes what compaction removed at the end of a partition.
        positions = {part: await consumer.position(part) for part in remaining}
        remaining = {part for part in remaining if positions[part] < ends[part]}
        if not remaining:
            return
        batches: dict[TopicPartition, list[Any]] = {}
        async with asyncio.timeout(READ_TIMEOUT_S):
            while not batches and all([await consumer.position(part) == positions[part] for part in remaining]):
                batches = await consumer.getmany(*remaining, timeout_ms=200)
        for part, records in batches.items():
            for record in records:
                if record.offset < ends[part]:
                    yield record


async def tail_topic(settings: KafkaSettings, topic: str, *, at_end: Callable[[], None]) -> AsyncIterator[Any]:
    """Yield every record of ``topic`` from its beginning, and then each new one, for ever.

    ``at_end`` is called once, when all that the topic held at the start has been yielded. A broker that goes away is
    waited for.

    Raises:
        KafkaUnavailable: the broker does not answer at the start.
    """
    async with reading(settings, topic) as (consumer, ends):
        behind = set(ends)
        while True:
            if behind:
                behind = {part for part in behind if await consumer.position(part) < ends[part]}
                if not behind:
                    at_end()
            batches = await consumer.getmany(timeout_ms=200 if behind else 1000)
            for records in batches.values():
                for record in records:
                    yield record


@contextlib.asynccontextmanager
async def reading(
    settings: KafkaSettings,
    topic: str,
    *,
    since_ms: int | None = None,
    partitions: Collection[int] | None = None,
) -> AsyncIterator[tuple[AIOKafkaConsumer, dict[TopicPartition, int]]]:
    """Give a consumer without a group, at its first records, and the end of each partition."""
    consumer = settings.consumer()
    try:
        async with asyncio.timeout(READ_TIMEOUT_S):
            await consumer.start()
            cluster = await consumer._client.fetch_all_metadata()  # the public call knows subscribed topics alone
            numbers = cluster.partitions_for_topic(topic)
            if not numbers:
                raise KafkaUnavailable(f"the topic {topic} does not exist")
            parts = [TopicPartition(topic, n) for n in sorted(numbers) if partitions is None or n in partitions]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            starts = await consumer.beginning_offsets(parts)
            if since_ms is not None:
                found = await consumer.offsets_for_times(dict.fromkeys(parts, since_ms))
                starts = {p: max(starts[p], found[p].offset if found[p] else ends[p]) for p in parts}
        for part, start in starts.items():
            consumer.seek(part, start)
        yield consumer, ends
    except (KafkaError, TimeoutError, OSError) as error:
        raise await settings.unavailable(error) from error
    finally:
        await _close_quietly(consumer.stop)
