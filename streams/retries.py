"""Waiting deliveries: puts each record of ``retries.<delay>`` back into its destination's queue when it is due.

A topic for each delay keeps each partition in the order of due times, so that only its first record need be watched.
A delivery that must wait longer than the longest delay stays once more.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.changes import happens_within
from streams.closing import close_within
from streams.commit import commit_offsets
from streams.dead_letter import DeadLetter, Failure, failed_delivery, unreadable_record
from streams.delivery import Delivery
from streams.event import UnreadableRecord
from streams.kafka import KafkaSettings
from streams.membership import Membership
from streams.metrics import StreamsMetrics
from streams.own_events import OwnEvents, dead_letter
from streams.pauses import publish
from streams.record import Record
from streams.stay import retry_delay_s
from streams.topics import TopicNames

BUFFERED_RECORDS_MAX = 200  # of one partition
FORWARDED_AT_ONCE = 100
FETCH_BYTES_MAX = 64 * 1024  # of one partition; a larger single record still passes
POLL_S_MAX = 1.0
STOP_S_MAX = 10.0
DUE_SLACK_MS = 500  # less than this too early is due

log = structlog.get_logger("retries")


def due_ms(record: Any, delay_s: int) -> int:
    """Return when a waiting record is due, in Unix milliseconds: its time in the log plus its topic's delay."""
    return int(record.timestamp) + delay_s * 1000


def next_hop(delivery: Delivery, delays_s: Mapping[str, int], names: TopicNames, *, now_ms: int) -> str:
    """Return the topic for a delivery that is due in its retry topic: its queue, or one more wait."""
    remaining_ms = delivery.not_before_ms - now_ms
    if remaining_ms <= DUE_SLACK_MS:
        return names.deliveries(delivery.destination, high=delivery.high)
    return names.retries(retry_delay_s(delays_s.values(), remaining_ms / 1000))


class Retries(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Consumes every ``retries.<delay>`` topic; one for each worker."""

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        names: TopicNames,
        producer: AIOKafkaProducer,
        delays_s: set[int],
        destinations: Callable[[], frozenset[str]],
        own_events: OwnEvents,
        metrics: StreamsMetrics,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._kafka, self._names, self._producer, self._metrics = kafka, names, producer, metrics
        self._group_metrics = metrics.groups.of(names.retries_group)
        self._delays_s = {names.retries(delay_s): delay_s for delay_s in sorted(delays_s)}
        self._destinations, self._own_events = destinations, own_events
        self._now_s = now_s
        self._waiting: dict[TopicPartition, deque[Any]] = {}
        self._assigned: set[TopicPartition] = set()
        self._generation = -1
        self._stopping = asyncio.Event()
        self._turn = asyncio.Lock()  # held while records are forwarded and committed; a revocation waits for it
        self.turns = 0  # for the watchdog: grows at least once a second, whether or not something is due

    async def start(self) -> None:
        """Join the group.

        Raises:
            KafkaError: the broker does not answer.
        """
        self._consumer = self._kafka.consumer(
            group_id=self._names.retries_group, max_partition_fetch_bytes=FETCH_BYTES_MAX
        )
        await self._consumer.start()
        self._membership = Membership(self._consumer)
        self._membership.watch()
        self._consumer.subscribe(list(self._delays_s), listener=self)

    async def run(self) -> None:
        """Forward what is due, until `stop`.

        Raises:
            KafkaError: the broker refused a record: nothing was committed.
        """
        while not self._stopping.is_set():
            async with self._turn:
                await self._fill()
                forwarded = await self._forward_due()
            if not forwarded:
                await self._pause_until_due()
            self.turns += 1

    async def stop(self) -> None:
        """End after the turn under way and leave the group."""
        self._stopping.set()
        await close_within(
            STOP_S_MAX,
            self._end(),
            lambda error: log.warning("consumer_stop_failed", error=str(error)),
        )

    async def _end(self) -> None:
        async with self._turn:
            pass  # `run` begins no other; a revocation that the consumer's stop awaits needs the turn for itself
        await self._consumer.stop()

    async def _fill(self) -> None:
        open_parts = [part for part in self._assigned if len(self._waiting.get(part, ())) < BUFFERED_RECORDS_MAX // 2]
        if not open_parts:
            return
        batches = await self._consumer.getmany(*open_parts, timeout_ms=0, max_records=BUFFERED_RECORDS_MAX)
        for part, records in batches.items():
            if part in self._assigned:
                self._waiting.setdefault(part, deque()).extend(records)

    async def _forward_due(self) -> bool:
        if not self._membership.certain(self._generation):
            return False  # frozen or cut off: another worker may have these by now
        now_ms = int(self._now_s() * 1000)
        due: dict[TopicPartition, list[Any]] = {}
        for part, records in self._waiting.items():
            delay_s = self._delays_s[part.topic]
            while records and due_ms(records[0], delay_s) <= now_ms and len(due.get(part, ())) < FORWARDED_AT_ONCE:
                due.setdefault(part, []).append(records.popleft())
        if not due:
            return False
        forwarded = [out for records in due.values() for record in records for out in self._forwarded(record)]
        await asyncio.gather(*(publish(self._producer, record) for record in forwarded))
        try:
            with self._group_metrics.commit_s.time():
                await commit_offsets(
                    self._consumer,
                    {part: OffsetAndMetadata(records[-1].offset + 1, "") for part, records in due.items()},
                    failures=self._group_metrics.commit_failures,
                )
        except KafkaError as error:
            # Another worker has the partition by now and forwards these once more: a repeat with the same key.
            log.warning("commit_refused", group=self._names.retries_group, error=str(error))
        return True

    def _forwarded(self, record: Any) -> list[Record]:
        now_ms = int(self._now_s() * 1000)
        place = {"topic": record.topic, "partition": record.partition, "offset": record.offset}
        try:
            delivery = Delivery.from_record(record.key, record.value, record.headers)
        except UnreadableRecord as error:
            failure = Failure(
                "decode", **place, error_class="UnreadableRecord", message=str(error), last_failure_ms=now_ms
            )
            return self._letter(unreadable_record(record.key, record.value, record.headers, failure))
        if delivery.destination not in self._destinations():
            message = f"the routing table has no destination {delivery.destination!r}"
            failure = Failure("route", **place, error_class="LookupError", message=message, last_failure_ms=now_ms)
            return self._letter(failed_delivery(delivery, failure))
        log.debug(
            "delivery_due",
            source=delivery.event.source,
            event_id=delivery.event.id,
            delivery_id=delivery.id,
            route=delivery.route,
            destination=delivery.destination,
        )
        return [delivery.to_record(next_hop(delivery, self._delays_s, self._names, now_ms=now_ms))]

    def _letter(self, letter: DeadLetter) -> list[Record]:
        """Return a dead letter and what is told of it."""
        self._metrics.dead_letters.written(letter)
        return [letter.to_record(self._names.dead_letter), *self._own_events.records(dead_letter(letter))]

    async def _pause_until_due(self) -> None:
        now_s = self._now_s()
        heads = [due_ms(records[0], self._delays_s[part.topic]) for part, records in self._waiting.items() if records]
        pause_s = min([POLL_S_MAX, *(max(0.01, head / 1000 - now_s) for head in heads)])
        await happens_within(self._stopping, pause_s)

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Finish the turn under way and forget what waits; called by aiokafka."""
        async with self._turn:
            self._assigned = set()
            self._waiting.clear()
            self._group_metrics.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin at the committed offsets; called by aiokafka."""
        self._generation = self._membership.joined()
        self._assigned = set(assigned)
        self._group_metrics.assigned(len(assigned))
