"""How deep each queue is: the records of a topic that its consumer group has not settled.

Read from the broker, without joining any group, so that it is right while every worker is down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from streams.closing import close_within
from streams.event import OWN_SOURCE
from streams.kafka import KafkaSettings
from streams.offsets import decode_settled
from streams.topics import TopicNames

READ_TIMEOUT_S = 20.0
CLOSE_S_MAX = 5.0


@dataclass(frozen=True, slots=True)
class Depth:
    """One topic: its unsettled records and the first offset that is not settled, by partition."""

    by_partition: Mapping[int, int]
    prefixes: Mapping[int, int]

    @property
    def unsettled(self) -> int:
        """The unsettled records of all partitions."""
        return sum(self.by_partition.values())


def queue_groups(
    names: TopicNames,
    *,
    sources: Iterable[str],
    destinations: Iterable[str],
    delays_s: Iterable[int],
) -> dict[str, str]:
    """Return each topic that is a queue, that of Headrace's own events included, with the group that works on it.

    Every destination has its queue of high priority here: what waits there is worked after the last route of high
    priority is gone, too. Where none ever was, the topic does not exist.
    """
    destinations = tuple(destinations)
    return {
        **{names.events(source): names.fan_out_group for source in (*sources, OWN_SOURCE)},
        **{names.deliveries(name): names.deliver_group(name) for name in destinations},
        **{names.deliveries(name, high=True): names.deliver_group(name) for name in destinations},
        **{names.retries(delay_s): names.retries_group for delay_s in delays_s},
    }


class DepthReader:
    """Reads the depths of a set of topics. Use as an async context manager; one read at a time."""

    def __init__(self, kafka: KafkaSettings, groups: Mapping[str, str]) -> None:
        self._kafka = kafka
        self._groups = dict(groups)
        self._consumer: AIOKafkaConsumer | None = None
        self._admin: AIOKafkaAdminClient | None = None

    async def read(self) -> dict[str, Depth]:
        """Return the depth of every topic that exists.

        Raises:
            KafkaUnavailable: the broker does not answer.
        """
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                return await self._read()
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
            raise await self._kafka.unavailable(error) from error

    async def trim(self, depths: Mapping[str, Depth], topics: Iterable[str]) -> None:
        """Delete what is settled from the head of the given queues, which no retention empties.

        Raises:
            KafkaUnavailable: the broker does not answer.
        """
        settled = {
            TopicPartition(topic, partition): RecordsToDelete(prefix)
            for topic in topics
            if topic in depths
            for partition, prefix in depths[topic].prefixes.items()
            if prefix > 0
        }
        if not settled:
            return
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                _, admin = await self._clients()
                await admin.delete_records(settled)
        except (KafkaError, TimeoutError, OSError) as error:
            await self.close()
            raise await self._kafka.unavailable(error) from error

    async def close(self) -> None:
        """Close the clients; the next read opens new ones."""
        consumer, admin, self._consumer, self._admin = self._consumer, self._admin, None, None
        for client_close in ([consumer.stop] if consumer else []) + ([admin.close] if admin else []):
            await close_within(CLOSE_S_MAX, client_close())

    async def _clients(self) -> tuple[AIOKafkaConsumer, AIOKafkaAdminClient]:
        if self._consumer is None:
            self._consumer = self._kafka.consumer()
            await self._consumer.start()
        if self._admin is None:
            self._admin = AIOKafkaAdminClient(request_timeout_ms=10_000, **self._kafka.client_options())
            await self._admin.start()
        return self._consumer, self._admin

    async def _read(self) -> dict[str, Depth]:
        consumer, admin = await self._clients()
        committed: dict[TopicPartition, tuple[int, str]] = {}
        for group in sorted(set(self._groups.values())):
            offsets = await admin.list_consumer_group_offsets(group)
            # Two groups never work on one topic, so their offsets cannot collide.
            committed.update({part: (found.offset, found.metadata or "") for part, found in offsets.items()})
        # All, for to ask for one that does not exist makes it, on a broker that is configured so.
        parts = [
            TopicPartition(topic["topic"], partition["partition"])
            for topic in await admin.describe_topics()
            if topic["topic"] in self._groups
            for partition in topic["partitions"]
        ]
        first = await consumer.beginning_offsets(parts)
        ends = await consumer.end_offsets(parts)
        depths: dict[str, Depth] = {}
        for topic in sorted({part.topic for part in parts}):
            unsettled, prefixes = {}, {}
            for part in (part for part in parts if part.topic == topic):
                offset, metadata = committed.get(part, (-1, ""))
                prefix = max(offset, first[part])
                prefixes[part.partition] = prefix
                beyond = len(decode_settled(prefix, metadata))
                unsettled[part.partition] = max(0, ends[part] - prefix - beyond)
            depths[topic] = Depth(unsettled, prefixes)
        return depths
