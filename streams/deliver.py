"""The queue of one destination: an aiokafka consumer that carries out many deliveries at once, out of order.

In the manner of Confluent's Parallel Consumer: a record is taken when there is room, carried out in a task of its own
(`streams.work`), and marked settled when all that follows from it is acknowledged. Commits carry the settled prefix
and, as metadata, the settled offsets beyond it (`streams.offsets`), so that the next owner repeats nothing but what was
in flight.

A destination that a route of high priority leads to has a second topic, whose records have room, slots and turns of
their own. A record of an ordered route waits for the earlier ones of its key (`streams.chains`).

Bounds: what `streams.room` leaves, and `offsets.WINDOW` offsets from the prefix to the newest record of a partition.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from functools import partial
from typing import Any

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from prometheus_client import Histogram

from connectors.destination import Destination
from streams.assignment import Assignment, find_progress
from streams.chains import Link
from streams.changes import Changes
from streams.closing import close_within
from streams.commit import COMMIT_TIMEOUT_S, Commits
from streams.consumed import Consumed
from streams.copies import copy_of
from streams.delivery import ORDERED_HEADER
from streams.depths import Depth
from streams.gate import Gate
from streams.kafka import SESSION_TIMEOUT_S
from streams.membership import Membership
from streams.room import Room
from streams.shared import Shared
from streams.work import Bench, Work

TAKEN_AT_ONCE_MAX = 32  # each begins with some 0.3 ms of work: more would hold up the commits
DRAIN_MARGIN_S = 3.0

log = structlog.get_logger("deliver")


class GaveUp(Exception):
    """The work on a record ended without settling it, and nobody else will: only a new start reads it again."""


class DestinationQueue(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Consumes ``deliveries.<destination>``; one for each destination of a worker."""

    def __init__(self, destination: Destination, shared: Shared, *, prioritized: bool = False) -> None:
        self.destination = destination
        self.topic = shared.names.deliveries(destination.name)
        self.high_topic = shared.names.deliveries(destination.name, high=True)
        self.prioritized = prioritized  # whether the high topic is consumed too
        self.group = shared.names.deliver_group(destination.name)
        self.progress = 0  # changes whenever a record is taken or leaves
        self._shared = shared
        self._metrics = shared.metrics.groups.of(self.group)
        self._room = Room(slots=destination.settings.concurrency)
        self._assignment: Assignment | None = None
        self._changes = Changes()
        # A read that spans a rebalance could return records from beyond the seek of the new assignment, as of the old
        # one: dropped, they would be lost. So no assignment begins while a read is under way.
        self._reading = {False: asyncio.Lock(), True: asyncio.Lock()}
        self._stopping = False
        self._background: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the group and begin; failures show in ``failed``, that of the start too.

        Raises:
            KafkaError: the broker does not answer.
        """
        drain_s = self.destination.settings.timeout_s + DRAIN_MARGIN_S + COMMIT_TIMEOUT_S
        self._consumer = self._shared.kafka.consumer(
            group_id=self.group, rebalance_timeout_ms=int(1000 * (drain_s + SESSION_TIMEOUT_S))
        )
        try:
            await self._join()
        except BaseException as error:
            if isinstance(error, Exception):
                self._fail(error)  # a reload goes on with the old table, whose queue is gone already
            await close_within(COMMIT_TIMEOUT_S, self._consumer.stop())
            raise

    async def _join(self) -> None:
        await self._consumer.start()
        self._membership = Membership(self._consumer, on_beat=self.wake, monotonic_s=self._shared.monotonic_s)
        self._membership.watch()
        # What waits there is worked even when no route of the table has high priority any more.
        self.prioritized = self.prioritized or self.high_topic in await self._consumer.topics()
        if self.prioritized:
            self.destination.prioritize()
        self._gate = Gate(self.destination.name, self._membership, self._shared, self._changes)
        self._bench = Bench(self.destination, self._gate, self._room, self._changes, self._shared, self._queue_wait_s())
        self._commits = Commits(self._consumer, self._membership, name=self.destination.name, metrics=self._metrics)
        self._consumer.subscribe(list(self._topics()), listener=self)
        loops = [self._commit_for_ever(), *(self._take(topic) for topic in self._topics())]
        self._background = [asyncio.create_task(self._guarded(loop)) for loop in loops]

    async def stop(self) -> None:
        """Take nothing more, let the calls in flight end, commit, and leave the group; bounded in time."""
        self._stopping = True
        if self._assignment is not None:
            await self._drain(self._assignment)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await close_within(
            COMMIT_TIMEOUT_S,
            self._consumer.stop(),
            lambda error: log.warning("consumer_stop_failed", destination=self.destination.name, error=str(error)),
        )

    def _topics(self) -> tuple[str, ...]:
        return (self.topic, self.high_topic) if self.prioritized else (self.topic,)

    def _queue_wait_s(self) -> dict[bool, Histogram]:
        """Return the metric by priority, of the topics that are consumed: its series are there from now on."""
        of = partial(self._shared.metrics.queue_wait_s.labels, self.destination.name)
        return {False: of("normal"), **({True: of("high")} if self.prioritized else {})}

    async def _guarded(self, loop: Coroutine[Any, Any, None]) -> None:
        try:
            await loop
        except asyncio.CancelledError:
            if not self._stopping:
                self._fail(GaveUp(f"the queue of {self.destination.name} ended"))
            raise
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            log.error("queue_failed", destination=self.destination.name, error=repr(error))
            self.failed.set_exception(error)

    def wake(self) -> None:
        """Look again at what is paused, owned and free."""
        self._changes.wake()

    # -- what others ask ----------------------------------------------------------------------------------------

    def used_ratios(self) -> dict[str, float]:
        """Return the used share of each limit of this queue on this worker, by the name of the limit."""
        settings = self.destination.settings
        return {
            "delivery_slots": self.destination.in_flight / settings.concurrency,
            **self._room.used_ratios(),
            **({} if settings.rate is None else {"rate": self.destination.limiter.used_ratio}),
        }

    def assigned(self) -> int:
        """Return how many partitions this worker owns."""
        return len(self._assignment.progress) if self._assignment else 0

    def joined(self) -> bool:
        """Return whether the group has given this worker its share of the partitions."""
        return self._assignment is not None

    def has_due_work(self, depths: Mapping[str, Depth]) -> bool:
        """Return whether something should be happening here, given the depths of the topics.

        Not while it is paused, nor while calls wait for what is known to come (`Destination.waits`), nor while the
        broker has not acknowledged what follows from a call. That a record counts as in work is no reason by itself:
        somebody must be at it.
        """
        if self._assignment is None or self._gate.paused or self._gate.publishing or self.destination.waits:
            return False
        parts = [part for part in self._assignment.progress if part.topic in depths]
        return any(depths[part.topic].by_partition.get(part.partition, 0) for part in parts)

    # -- taking -------------------------------------------------------------------------------------------------

    async def _commit_for_ever(self) -> None:
        while True:
            if self._assignment is None:
                await self._changes.wait()
            else:
                await self._commits.commit_next(self._assignment)

    async def _take(self, topic: str) -> None:
        high = topic == self.high_topic
        while not self._stopping:
            assignment = self._assignment
            open_partitions = assignment.open_partitions(topic) if assignment and not assignment.draining else []
            free = self._room.free(high=high)
            if assignment is None or not open_partitions or free <= 0 or self._held():
                await self._changes.wait()
                continue
            async with self._reading[high]:
                if self._assignment is not assignment:
                    continue
                batches = await self._consumer.getmany(
                    *open_partitions, timeout_ms=200, max_records=min(free, TAKEN_AT_ONCE_MAX)
                )
            if assignment.draining:
                continue  # the next assignment begins at the committed offset and reads these again
            for part, records in batches.items():
                for record in records:
                    self._begin(assignment, part, record)

    def _held(self) -> bool:
        return self.destination.breaker.is_open or self._gate.paused

    def _begin(self, assignment: Assignment, part: TopicPartition, read: Any) -> None:
        if not assignment.progress[part].take(read.offset):
            assignment.dirty.set()  # settled under an earlier owner: the prefix may have moved
            return
        record = Consumed(part.topic, part.partition, read.offset, read.key, read.value, read.headers, read.timestamp)
        copy = copy_of(record.fields)
        if not assignment.copies[part].add(copy):
            assignment.settle(part, read.offset)  # the first copy, at its own offset, answers for both
            return
        link = self._link(assignment, record)
        work = Work(record, self._bench, assignment, copy=copy, link=link, high=part.topic == self.high_topic)
        self._room.take(work.body_bytes, high=work.high)
        task = asyncio.create_task(work.run())
        assignment.tasks.add(task)
        task.add_done_callback(partial(self._leave, work))
        self.progress += 1

    def _link(self, assignment: Assignment, record: Consumed) -> Link | None:
        """Return the record's place among those of its key, if its route is ordered."""
        route = self._shared.routes().named(record.route)
        if not (ORDERED_HEADER in record.fields if route is None else route.ordered):
            return None
        return assignment.chains.join((record.topic, record.route, record.key))

    def _leave(self, work: Work, task: asyncio.Task[None]) -> None:
        """Make room: of a task that a drain cancelled before its first step nothing else would run.

        Work that ended unsettled, with nobody to read it again, would hold up the commits of its partition for good.
        """
        self._room.leave(work.body_bytes, high=work.high)
        work.assignment.tasks.discard(task)
        self.progress += 1
        self.wake()
        error = None if task.cancelled() else task.exception()
        if error is None and not work.settled and not self._gate.gives_back(work.assignment):
            error = GaveUp(f"the work on offset {work.record.offset} of {work.record.part} ended unsettled")
        if error is not None:
            self._fail(error)

    # -- membership ---------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Drain before another worker gets the partitions; called by aiokafka, which rejoins when this returns."""
        if self._assignment is not None:
            await self._drain(self._assignment)
            self._assignment = None
            self._metrics.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin at the committed offsets, passing over what is settled beyond them; called by aiokafka."""
        async with self._reading[False], self._reading[True]:
            try:
                await self._begin_assignment(assigned)
            except Exception as error:
                self._fail(error)

    async def _begin_assignment(self, assigned: set[TopicPartition]) -> None:
        progress = await find_progress(self._consumer, assigned)
        # Both topics have as many partitions; one whose metadata is not here yet must not make the share larger.
        counts = [len(self._consumer.partitions_for_topic(topic) or ()) for topic in self._topics()]
        self.destination.share(len(assigned), max(1, len(counts) * max(counts), len(assigned)))
        self._assignment = Assignment(progress, self._membership.joined())
        self._metrics.assigned(len(assigned))
        self.wake()

    async def _drain(self, assignment: Assignment) -> None:
        assignment.draining = True
        self.wake()
        self.destination.interrupt_backoff()
        lost = self._membership.lost(assignment.generation)
        await assignment.end_tasks(within_s=0.0 if lost else self.destination.settings.timeout_s + DRAIN_MARGIN_S)
        await self._commits.commit_last(assignment)
        self.destination.share(0, 1)
