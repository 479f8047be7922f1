"""The queue of one destination: an aiokafka consumer that carries out many deliveries at once, out of order.

In the manner of Confluent's Parallel Consumer: a record is taken when there is room, carried out in a task of its own,
and marked settled when all that follows from it is acknowledged. Commits carry the settled prefix and, as metadata,
the settled offsets beyond it (`streams.offsets`), so that the next owner repeats nothing but what was in flight.

A destination that a route of high priority leads to has a second topic, whose records have room, slots and turns of
their own. A record of an ordered route waits for the earlier ones of its key (`streams.chains`).

Bounds: what `streams.room` leaves, and `offsets.WINDOW` offsets from the prefix to the newest record of a partition.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from connectors.destination import Destination, Interrupted
from streams.assignment import Abandoned, Assignment, Commits, copy_of
from streams.cancellations import Cancellations, Cancelled
from streams.carry_out import Consumed, Settlement, Surroundings, carry_out
from streams.chains import Link
from streams.commit import COMMIT_TIMEOUT_S
from streams.delivery import DELIVERY_ID_CHARS, ORDERED_HEADER
from streams.depths import Depth
from streams.event import format_time
from streams.herald import Herald
from streams.kafka import SESSION_TIMEOUT_S, KafkaSettings
from streams.membership import Membership
from streams.metrics import StreamsMetrics
from streams.offsets import Progress
from streams.own_events import OwnEvents
from streams.pauses import Pause, Pauses, publish
from streams.record import Record
from streams.room import Room
from streams.routing import Routes
from streams.topics import TopicNames
from streams.tracing import Tracing

ROUTE_WAIT_S = 30.0  # an ordered delivery of a route that this worker does not know yet: while a reload goes round
TAKEN_AT_ONCE_MAX = 32  # each begins with some 0.3 ms of work: more would hold up the commits
DRAIN_MARGIN_S = 3.0

log = structlog.get_logger("deliver")


class DestinationQueue(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Consumes ``deliveries.<destination>``; one for each destination of a worker."""

    def __init__(
        self,
        destination: Destination,
        *,
        kafka: KafkaSettings,
        names: TopicNames,
        producer: AIOKafkaProducer,
        routes: Callable[[], Routes],
        pauses: Pauses,
        cancellations: Cancellations,
        own_events: OwnEvents,
        herald: Herald,
        metrics: StreamsMetrics,
        tracing: Tracing | None = None,
        prioritized: bool = False,
        now_s: Callable[[], float] = time.time,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.destination = destination
        self.topic = names.deliveries(destination.name)
        self.high_topic = names.deliveries(destination.name, high=True)
        self.prioritized = prioritized  # whether the high topic is consumed too
        self.group = names.deliver_group(destination.name)
        self.progress = 0  # changes whenever a record is taken or leaves
        self._kafka, self._names, self._producer, self._routes = kafka, names, producer, routes
        self._pauses, self._cancellations, self._metrics = pauses, cancellations, metrics
        self._own_events, self._herald = own_events, herald
        self._tracing = tracing or Tracing()
        self._group_metrics = metrics.groups.of(self.group)
        self._now_s, self._monotonic_s = now_s, monotonic_s
        self._room = Room(slots=destination.settings.concurrency)
        self._assignment: Assignment | None = None
        self._changed = asyncio.Event()
        self._pausing = asyncio.Lock()
        # A read that spans a rebalance could return records from beyond the seek of the new assignment, as of the old
        # one: dropped, they would be lost. So no assignment begins while a read is under way.
        self._reading = {False: asyncio.Lock(), True: asyncio.Lock()}
        self._stopping = False
        self._background: list[asyncio.Task[None]] = []
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    # -- life ---------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Join the group and begin; failures show in ``failed``.

        Raises:
            KafkaError: the broker does not answer.
        """
        drain_s = self.destination.settings.timeout_s + DRAIN_MARGIN_S + COMMIT_TIMEOUT_S
        self._consumer = self._kafka.consumer(
            group_id=self.group, rebalance_timeout_ms=int(1000 * (drain_s + SESSION_TIMEOUT_S))
        )
        await self._consumer.start()
        self._membership = Membership(self._consumer, on_beat=self.wake, monotonic_s=self._monotonic_s)
        self._membership.watch()
        # What waits there is worked even when no route of the table has high priority any more.
        self.prioritized = self.prioritized or self.high_topic in await self._consumer.topics()
        if self.prioritized:
            self.destination.prioritize()
        priorities = (False, True) if self.prioritized else (False,)
        self.queue_wait_s = {
            high: self._metrics.queue_wait_s.labels(self.destination.name, "high" if high else "normal")
            for high in priorities
        }
        self._consumer.subscribe([self.topic, *([self.high_topic] if self.prioritized else [])], listener=self)
        self._commits = Commits(
            self._consumer,
            self._membership,
            name=self.destination.name,
            metrics=self._group_metrics,
        )
        self._background = [self._spawn(self._take(high=False)), self._spawn(self._commit_for_ever())]
        if self.prioritized:
            self._background.append(self._spawn(self._take(high=True)))

    async def stop(self) -> None:
        """Take nothing more, let the calls in flight end, commit, and leave the group; bounded in time."""
        self._stopping = True
        if self._assignment is not None:
            await self._drain(self._assignment)
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._consumer.stop()
        except (KafkaError, TimeoutError) as error:
            log.warning("consumer_stop_failed", destination=self.destination.name, error=str(error))

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
        """Return whether something should be happening here, given the depths of the topics."""
        if self._assignment is None or self._held():
            return False
        if self._room.in_work and not self.destination.in_flight:
            return False  # what was taken waits out a backoff or a limit
        parts = [part for part in self._assignment.progress if part.topic in depths]
        return any(depths[part.topic].by_partition.get(part.partition, 0) for part in parts)

    def _spawn(self, work: Any) -> asyncio.Task[None]:
        async def guarded() -> None:
            try:
                await work
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                self._fail(error)

        return asyncio.create_task(guarded(), name=f"deliver-{self.destination.name}")

    def _fail(self, error: BaseException) -> None:
        if not self.failed.done():
            log.error("queue_failed", destination=self.destination.name, error=repr(error))
            self.failed.set_exception(error)

    def wake(self) -> None:
        """Look again at what is paused, owned and free."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def _change(self, timeout_s: float = 1.0) -> None:
        try:
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
        except TimeoutError:
            return

    # -- taking and carrying out --------------------------------------------------------------------------------

    async def _commit_for_ever(self) -> None:
        while True:
            if self._assignment is None:
                await self._change()
            else:
                await self._commits.commit_next(self._assignment)

    async def _take(self, *, high: bool) -> None:
        topic = self.high_topic if high else self.topic
        while not self._stopping:
            assignment = self._assignment
            open_partitions = assignment.open_partitions(topic) if assignment and not assignment.draining else []
            free = self._room.free(high=high)
            if assignment is None or not open_partitions or free <= 0 or self._held():
                await self._change()
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
        return self.destination.breaker.is_open or self._pauses.get(self.destination.name) is not None

    def _begin(self, assignment: Assignment, part: TopicPartition, record: Any) -> None:
        progress = assignment.progress[part]
        if not progress.take(record.offset):
            assignment.dirty.set()  # settled under an earlier owner: the prefix may have moved
            return
        headers = dict(record.headers)
        copy = copy_of(headers)
        if not assignment.copies[part].add(copy):
            progress.settle(record.offset)  # the first copy, at its own offset, answers for both
            assignment.dirty.set()
            return
        consumed = Consumed(
            part.topic, part.partition, record.offset, record.key, record.value, record.headers, record.timestamp
        )
        link = self._link(assignment, consumed, headers)
        body_bytes, high = len(record.value or b""), part.topic == self.high_topic
        self._room.take(body_bytes, high=high)
        task = asyncio.create_task(self._carry_out(assignment, progress, consumed, copy, link))
        assignment.tasks.add(task)
        task.add_done_callback(partial(self._leave, assignment, body_bytes, high))
        self.progress += 1

    def _leave(self, assignment: Assignment, body_bytes: int, high: bool, task: asyncio.Task[None]) -> None:
        """Make room: of a task that a drain cancelled before its first step nothing else would run."""
        self._room.leave(body_bytes, high=high)
        assignment.tasks.discard(task)
        self.progress += 1
        self.wake()

    def _link(self, assignment: Assignment, record: Consumed, headers: Mapping[str, bytes]) -> Link | None:
        """Return the record's place among those of its key, if its route is ordered."""
        name = headers.get("headrace-route", b"").decode(errors="replace")
        route = self._routes().named(name)
        if not (ORDERED_HEADER in headers if route is None else route.ordered):
            return None
        return assignment.chains.join((record.topic, name, record.key))

    async def _await_turn(self, assignment: Assignment, record: Consumed, link: Link) -> None:
        """Return when all earlier records of the key are settled, and the route is known.

        Raises:
            Abandoned: an earlier one was given back, and so is this one.
        """
        if link.waits:
            with self._room.chained(high=record.topic == self.high_topic):
                if not await link.turn():
                    raise Abandoned
        name = dict(record.headers).get("headrace-route", b"").decode(errors="replace")
        ends_s = self._monotonic_s() + ROUTE_WAIT_S
        while self._routes().named(name) is None and self._monotonic_s() < ends_s:
            if assignment.draining:
                raise Abandoned
            await self._change()

    async def _carry_out(
        self,
        assignment: Assignment,
        progress: Progress,
        record: Consumed,
        copy: tuple[bytes | None, ...] | None,
        link: Link | None,
    ) -> None:
        replay = dict(record.headers).get("headrace-replay", b"")
        work = _Work(
            self,
            assignment,
            replay=int(replay) if replay.isdigit() else 0,
            high=record.topic == self.high_topic,
            in_place=link is not None,
            came_ms=record.timestamp_ms,
        )
        settled = False
        try:
            if link is not None:
                await self._await_turn(assignment, record, link)
            await carry_out(record, work.surroundings())
            if work.handed_on:
                assignment.copies[TopicPartition(record.topic, record.partition)].forget(copy)
            if not assignment.over:
                progress.settle(record.offset)
                assignment.dirty.set()
                settled = True
        except (Abandoned, Interrupted, asyncio.CancelledError):
            return  # not settled: read again by the next owner
        except BaseException as error:
            self._fail(error)
        finally:
            if link is not None:
                link.end(done=settled)

    async def ensure_owned(self, assignment: Assignment) -> None:
        """Return when this worker certainly owns the assignment's partitions, by a heartbeat that is young enough.

        Raises:
            Abandoned: it does not, or soon will not.
        """
        while True:
            if assignment.over or self._membership.lost(assignment.generation):
                raise Abandoned
            if self._membership.certain(assignment.generation):
                return
            await self._change()

    async def before_attempt(self, assignment: Assignment) -> None:
        """Return when a call may begin; a pause and a lost broker are waited out.

        Raises:
            Abandoned: this worker gives the record back.
        """
        while True:
            if assignment.draining:
                raise Abandoned
            await self.ensure_owned(assignment)
            if self._pauses.get(self.destination.name) is None:
                return
            await self._change()

    async def send(self, assignment: Assignment, record: Record) -> None:
        """Publish what follows from a record of ``assignment`` and return when it is acknowledged.

        Raises:
            Abandoned: the record is no longer this worker's; nothing was published.
        """
        await self.ensure_owned(assignment)
        await publish(self._producer, record)

    async def pause(self, reason: str, *, version: int) -> None:
        """Pause this destination on all workers, unless it was paused or resumed since ``version``."""
        async with self._pausing:
            if self._pauses.version(self.destination.name) != version:
                return
            log.error("destination_paused", destination=self.destination.name, reason=reason)
            pause = Pause(self.destination.name, reason, format_time(int(self._now_s() * 1000)))
            await publish(self._producer, pause.to_record(self._names.pauses))
            while self._pauses.version(self.destination.name) == version:
                await self._change(0.05)
            # Workers that are refused at the same moment all write: the one whose record is the first tells it.
            if self._pauses.began(self.destination.name) == pause:
                self._herald.paused(pause)

    # -- membership ---------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Drain before another worker gets the partitions; called by aiokafka, which rejoins when this returns."""
        if self._assignment is not None:
            await self._drain(self._assignment)
            self._assignment = None
            self._group_metrics.revoked()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Begin at the committed offsets, passing over what is settled beyond them; called by aiokafka."""
        async with self._reading[False], self._reading[True]:
            await self._begin_assignment(assigned)

    async def _begin_assignment(self, assigned: set[TopicPartition]) -> None:
        try:
            # The public committed() gives the offset without its metadata.
            committed = await self._consumer._coordinator.fetch_committed_offsets(list(assigned))
            progress = {}
            for part in sorted(assigned):
                found = committed.get(part)
                if found is None or found.offset < 0:
                    first = (await self._consumer.beginning_offsets([part]))[part]
                    found = OffsetAndMetadata(first, "")
                self._consumer.seek(part, found.offset)
                progress[part] = Progress(found.offset, found.metadata or "")
            # Both topics have as many partitions; one whose metadata is not here yet must not make the share larger.
            topics = [self.topic, self.high_topic] if self.prioritized else [self.topic]
            partitions = len(topics) * max(len(self._consumer.partitions_for_topic(topic) or ()) for topic in topics)
            self.destination.share(len(assigned), max(1, partitions, len(assigned)))
            self._assignment = Assignment(progress, self._membership.joined())
            self._group_metrics.assigned(len(assigned))
            self.wake()
        except Exception as error:
            self._fail(error)

    async def _drain(self, assignment: Assignment) -> None:
        assignment.draining = True
        self.wake()
        self.destination.interrupt_backoff()
        if assignment.tasks and not self._membership.lost(assignment.generation):
            await asyncio.wait(assignment.tasks, timeout=self.destination.settings.timeout_s + DRAIN_MARGIN_S)
        tasks = list(assignment.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            async with asyncio.timeout(COMMIT_TIMEOUT_S):
                await self._commits.commit(assignment)
        except TimeoutError:
            self._group_metrics.commit_failures.inc()
            log.warning("last_commit_timed_out", destination=self.destination.name)
        assignment.over = True
        assignment.dirty.set()  # who waits to commit it turns to the next assignment
        self.destination.share(0, 1)


class _Work:
    """One record's view of its queue."""

    __slots__ = ("assignment", "came_ms", "handed_on", "high", "in_place", "queue", "replay", "version")

    def __init__(
        self, queue: DestinationQueue, assignment: Assignment, *, replay: int, high: bool, in_place: bool, came_ms: int
    ) -> None:
        self.queue = queue
        self.assignment = assignment
        self.high, self.in_place, self.replay = high, in_place, replay
        self.came_ms = came_ms  # into the queue, Unix milliseconds; 0 once its wait is counted
        self.version = 0
        self.handed_on = False  # to the queue of another destination

    def surroundings(self) -> Surroundings:
        queue = self.queue
        return Surroundings(
            destination=queue.destination.name,
            delays_s=tuple(queue.destination.settings.delays_s),
            names=queue._names,
            routes=queue._routes,
            send=self.send,
            call=self.call,
            check=queue.destination.check,
            pause=self.pause,
            own_events=queue._own_events,
            now_s=queue._now_s,
            metrics=queue._metrics,
            cancelled=queue._cancellations.reason,
            tracing=queue._tracing,
        )

    async def send(self, record: Record) -> None:
        self.handed_on = self.handed_on or record.topic.startswith(self.queue._names.deliveries(""))
        await self.queue.send(self.assignment, record)

    async def before_attempt(self, delivery_id: str) -> None:
        await self.queue.before_attempt(self.assignment)
        # Last: it may have waited long for its turn.
        reason = self.queue._cancellations.reason(delivery_id, self.replay)
        if reason is not None:
            raise Cancelled(reason)
        self.version = self.queue._pauses.version(self.queue.destination.name)
        if self.came_ms:
            waited_s = max(0.0, self.queue._now_s() - self.came_ms / 1000)  # the clock may be another machine's
            self.queue.queue_wait_s[self.high].observe(waited_s)
            self.came_ms = 0

    async def call(self, action: str, parameters: dict[str, object], idempotency_key: str) -> Settlement:
        return await self.queue.destination.call(
            action,
            parameters,
            idempotency_key=idempotency_key,
            before_attempt=partial(self.before_attempt, idempotency_key[:DELIVERY_ID_CHARS]),
            high=self.high,
            in_place=self.in_place,
        )

    async def pause(self, reason: str) -> None:
        await self.queue.pause(reason, version=self.version)
