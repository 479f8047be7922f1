"""What one generation of a consumer group gave a worker, and the commits that say how far it is done."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from aiokafka.structs import OffsetAndMetadata

from streams.chains import Chains
from streams.commit import commit_offsets
from streams.dead_letter import LETTER_HEADER
from streams.group_metrics import GroupMetrics
from streams.membership import Membership
from streams.offsets import CommitPoint, Progress

COMMIT_INTERVAL_S = 0.01  # from the start of one commit to the next: what a crash repeats beside the calls in flight
WAIT_S_MAX = 1.0
COPIES_MAX = 1024  # of a partition: more than fan-out has in flight
_SHARED_BY_COPIES = (
    "headrace-receipt",
    "headrace-route",
    "headrace-item",
    "headrace-round",
    "headrace-replay",
    "headrace-key-replay",
)

log = structlog.get_logger("deliver")


class Abandoned(Exception):
    """The record is no longer this worker's: its next owner carries it out."""


class RecentCopies:
    """The deliveries that one partition held lately, so that an identical copy is not called again.

    A crash of fan-out between publishing and marking, or of the retries between forwarding and committing, writes a
    delivery twice, close together. A copy is the same event record on the same route in the same round and replay:
    a provider's repeat has another receipt, and a delivery that comes back has another round or replay.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes | None, ...], None] = OrderedDict()

    def add(self, copy: tuple[bytes | None, ...] | None) -> bool:
        """Note a delivery; return whether it is the first of its kind. ``None`` (unreadable) always is."""
        if copy is None:
            return True
        if copy in self._known:
            return False
        self._known[copy] = None
        if len(self._known) > COPIES_MAX:
            self._known.popitem(last=False)
        return True

    def forget(self, copy: tuple[bytes | None, ...] | None) -> None:
        """Let the same delivery come again: it was handed on to another queue, which may hand it back."""
        if copy is not None:
            self._known.pop(copy, None)


def copy_of(fields: Mapping[str, bytes]) -> tuple[bytes | None, ...] | None:
    """Return what identical copies of a delivery share, or ``None`` for a record that is no delivery."""
    if "headrace-receipt" not in fields or LETTER_HEADER in fields:
        return None
    return tuple(fields.get(name) for name in _SHARED_BY_COPIES)


class Assignment:
    """The partitions that one generation of the group gave this worker, and the work on them.

    ``draining``: take nothing more and begin no call. ``over``: another worker may own the partitions by now.
    """

    def __init__(self, progress: dict[TopicPartition, Progress], generation: int) -> None:
        self.progress = progress
        self.generation = generation
        self.tasks: set[asyncio.Task[None]] = set()
        self.copies = {part: RecentCopies() for part in progress}
        self.chains = Chains()
        self.dirty = asyncio.Event()
        self.committed: dict[TopicPartition, CommitPoint] = {}
        self.draining = False
        self.over = False

    def open_partitions(self, topic: str) -> list[TopicPartition]:
        """Return the topic's partitions of which another record may be taken."""
        return [part for part, progress in self.progress.items() if part.topic == topic and progress.has_room]

    def news(self) -> dict[TopicPartition, CommitPoint]:
        """Return the commit points that have changed since they were committed."""
        points = {part: progress.commit_point() for part, progress in self.progress.items()}
        return {part: point for part, point in points.items() if self.committed.get(part) != point}


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

    async def commit_next(self, assignment: Assignment) -> None:
        """Wait a moment for something to commit, commit it, and return when the next commit may begin."""
        try:
            async with asyncio.timeout(WAIT_S_MAX):
                await assignment.dirty.wait()
        except TimeoutError:
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
                with self._metrics.commit_s.time():
                    await commit_offsets(self._consumer, offsets, failures=self._metrics.commit_failures)
            except (KafkaError, IllegalStateError) as error:
                # The group is rebalancing, or has: committed at the end of the drain, or repeated.
                log.info("commit_refused", destination=self._name, error=type(error).__name__)
                assignment.dirty.set()
            else:
                assignment.committed.update(news)
