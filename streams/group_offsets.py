"""The offsets that a consumer group keeps on the broker, asked for in the thread that Faust's consumer lives in."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import CommitFailedError

from streams.group_metrics import GroupMetrics

ANSWER_S_MAX = 10.0

T = TypeVar("T")


class GroupOffsets:
    """The offsets of Faust's consumer, asked for in the thread that it lives in; commits are measured."""

    def __init__(self, consumer: Callable[[], Any], metrics: GroupMetrics) -> None:
        self._faust_consumer, self._metrics = consumer, metrics

    async def committed(self, parts: Iterable[TopicPartition]) -> Mapping[TopicPartition, int]:
        """Return the committed offset of each partition, or the log's start where there is none."""
        return await self._call(lambda consumer: _committed(consumer, list(parts)))

    async def log_start(self, part: TopicPartition) -> int:
        """Return the first offset that is still in the log."""
        starts: dict[TopicPartition, int] = await self._call(lambda consumer: consumer.beginning_offsets([part]))
        return starts[part]

    async def commit(self, offsets: Mapping[TopicPartition, int], generation: int) -> None:
        """Commit as a member of ``generation``; a partition that is no longer assigned makes it fail as a whole."""
        with self._metrics.commit_s.time(), self._metrics.commit_failures.count_exceptions():
            await self._call(lambda consumer: _commit(consumer, dict(offsets), generation))

    async def _call(self, call: Callable[[AIOKafkaConsumer], Coroutine[Any, Any, T]]) -> T:
        thread = self._faust_consumer()._thread
        async with asyncio.timeout(ANSWER_S_MAX):
            return await asyncio.wrap_future(
                asyncio.run_coroutine_threadsafe(call(thread._consumer), thread.thread_loop)
            )


async def _committed(consumer: AIOKafkaConsumer, parts: list[TopicPartition]) -> dict[TopicPartition, int]:
    found = await consumer._coordinator.fetch_committed_offsets(parts)
    offsets = {part: found[part].offset for part in parts if part in found and found[part].offset >= 0}
    new = [part for part in parts if part not in offsets]
    return {**offsets, **(await consumer.beginning_offsets(new) if new else {})}


async def _commit(consumer: AIOKafkaConsumer, offsets: dict[TopicPartition, int], generation: int) -> None:
    # Without a membership aiokafka commits as a consumer without a group, and the broker lets it, once the group is
    # empty: a worker that was frozen would put back what others committed meanwhile.
    if consumer._coordinator.generation != generation:
        raise CommitFailedError(f"generation {generation} is over")
    await consumer.commit(offsets)
