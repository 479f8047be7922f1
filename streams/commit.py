"""Committing offsets, and counting what does not come through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata
from prometheus_client import Counter

from streams.assignment import Assignment
from streams.changes import happens_within
from streams.group_metrics import GroupMetrics
from streams.membership import Membership

COMMIT_TIMEOUT_S = 5.0
COMMIT_INTERVAL_S = 0.01  # from the start of one commit to the next: what a crash repeats beside the calls in flight
WAIT_S_MAX = 1.0

log = structlog.get_logger("commit")


async def commit_offsets(
    consumer: AIOKafkaConsumer,
    offsets: Mapping[TopicPartition, OffsetAndMetadata],
    *,
    failures: Counter,
    timeout_s: float = COMMIT_TIMEOUT_S,
) -> None:
    """Commit ``offsets``, and count a failure when it is refused and for each ``timeout_s`` that it takes.

    aiokafka tries again for ever what the broker refuses for now, such as while the group's coordinator lacks in-sync
    replicas: it neither returns nor raises, so that without the time nobody would hear of it. It goes on all the same:
    given up, an older commit could overtake a newer one.

    Raises:
        KafkaError: refused for good; counted.
    """
    commit = asyncio.ensure_future(consumer.commit(dict(offsets)))
    try:
        while not (await asyncio.wait({commit}, timeout=timeout_s))[0]:
            failures.inc()
            log.warning("commit_waits", topics=sorted({part.topic for part in offsets}), timeout_s=timeout_s)
        commit.result()
    except KafkaError:
        failures.inc()
        raise
    finally:
        commit.cancel()


class Commits:
    """Commits what is settled, one commit at a time: an older one that is tried again must not overtake a newer."""

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        membership: Membership,
        *,
        name: str,
        metrics: GroupMetrics,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._consumer, self._membership = consumer, membership
        self._name, self._metrics, self._monotonic_s = name, metrics, monotonic_s
        self._lock = asyncio.Lock()
        self._under_way: asyncio.Timeout | None = None

    async def commit_next(self, assignment: Assignment) -> None:
        """Wait a moment for something to commit, commit it, and return when the next commit may begin."""
        if not await happens_within(assignment.dirty, WAIT_S_MAX):
            return
        started_s = self._monotonic_s()
        await self.commit(assignment)
        await asyncio.sleep(max(0.0, COMMIT_INTERVAL_S - (self._monotonic_s() - started_s)))

    async def commit(self, assignment: Assignment) -> None:
        """Commit the news of ``assignment``, if it is certainly this worker's; what is refused stays news."""
        async with self._lock:
            assignment.dirty.clear()
            news = assignment.news()
            # A consumer that lost its membership would commit as if it had no group, over the next owner's head.
            if not news or assignment.over or self._membership.lost(assignment.generation):
                return
            offsets = {part: OffsetAndMetadata(point.offset, point.metadata) for part, point in news.items()}
            try:
                async with asyncio.timeout(None) as self._under_way:
                    with self._metrics.commit_s.time():
                        await commit_offsets(self._consumer, offsets, failures=self._metrics.commit_failures)
            except (KafkaError, TimeoutError) as error:
                # The group is rebalancing, or has: committed at the end of the drain, or repeated.
                log.info("commit_refused", destination=self._name, error=type(error).__name__)
                assignment.dirty.set()
            else:
                assignment.committed.update(news)
            finally:
                self._under_way = None

    async def commit_last(self, assignment: Assignment) -> None:
        """Commit for the last time, within `COMMIT_TIMEOUT_S`, and end ``assignment``.

        A commit that is still under way then is given up. aiokafka would send it again under the generation that this
        worker joins next: over the head of whoever owns the partitions by then.
        """
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self.commit(assignment)
        except TimeoutError:
            self._metrics.commit_failures.inc()
            log.warning("last_commit_timed_out", destination=self._name)
        assignment.over = True
        assignment.dirty.set()  # who waits to commit it turns to the next assignment
        if self._under_way is not None:
            self._under_way.reschedule(asyncio.get_running_loop().time())
