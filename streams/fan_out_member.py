"""Fan-out at work: one member of its consumer group, from joining to leaving it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import structlog
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from streams import recovery_fix
from streams.app import Hooks, build_app
from streams.closing import close_within
from streams.data_dir import lock_data_dir
from streams.fan_out import FanOut
from streams.group_offsets import GroupOffsets
from streams.intake import Intake
from streams.kafka import KafkaSettings, records_waiting, wait_for_kafka
from streams.membership import Membership
from streams.metrics import StreamsMetrics
from streams.routing import Routes
from streams.seen import SeenTable
from streams.sending import Sender
from streams.table_watch import TableWatch
from streams.taken import Revoked, Taken
from streams.topics import PARTITIONS, TopicNames
from streams.tracing import Tracing

COMMIT_EVERY_S = 0.2
DRAIN_S = 5.0  # of a revocation: the whole group waits for it
STOP_S_MAX = 15.0
OWNERSHIP_S = 0.1  # between two looks at the last heartbeat
REQUEST_BYTES_MAX = 256 * 1024 * 1024
LINGER_MS = 2  # requests of several records instead of two: less work
log = structlog.get_logger("fan_out")


class FaustCrashed(Exception):
    """Faust ended by itself; its own reason is the cause."""


@dataclass(frozen=True, slots=True)
class FanOutProgress:
    """For the watchdog: ``advanced`` grows with all that is done, recovery included; ``due`` says if there is work.

    While the broker is away there is work and nothing advances, and a new start helps nothing.
    """

    advanced: int
    due: bool


class FanOutMember:
    """Fan-out as one member of its consumer group.

    Args:
        dedup_ttl_s: the time to live of each source's event ids; its keys are the sources.
        routes: returns the routes of the moment.
        data_dir: where the table's databases are; one process each.
    """

    def __init__(
        self,
        kafka: KafkaSettings,
        names: TopicNames,
        dedup_ttl_s: Mapping[str, int],
        routes: Callable[[], Routes],
        data_dir: Path,
        metrics: StreamsMetrics,
        *,
        partitions: int = PARTITIONS,
        tracing: Tracing | None = None,
        drain_s: float = DRAIN_S,
    ) -> None:
        self._kafka = kafka
        self._names = names
        self._dedup_ttl_s = dict(dedup_ttl_s)
        self._source_of = {names.events(source): source for source in dedup_ttl_s}
        self._routes = routes
        self._data_dir = data_dir
        self._metrics = metrics
        self._group_metrics = metrics.groups.of(names.fan_out_group)
        self._table_watch = TableWatch(metrics.table)
        self._partitions = partitions
        self._tracing = tracing
        self._drain_s = drain_s
        self._lock: IO[str] | None = None
        self._commits: asyncio.Task[None] | None = None
        self._stopping = False
        self._app: Any = None
        self._producer: AIOKafkaProducer | None = None
        self._membership: Membership | None = None

    async def start(self) -> None:
        """Join the group and return; `ready` says when the table is recovered. Waits for a broker that is away.

        Raises:
            DataDirInUse: another process has the data directory.
            RuntimeError: this is another Faust than the fix was written for.
        """
        recovery_fix.apply()
        self._lock = lock_data_dir(self._data_dir)
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        await self._reach(self._start_producer)
        await self._reach(self._start_faust)
        self._commits = asyncio.create_task(self._commit_forever())
        self._commits.add_done_callback(self._commits_ended)

    async def _start_producer(self) -> None:
        # An event that is in the log gets through, even if the routing table allows smaller bodies by now.
        self._producer = self._kafka.producer(linger_ms=LINGER_MS, max_request_size=REQUEST_BYTES_MAX)
        await self._producer.start()
        waiting = self._metrics.producer_queue_records.labels("fan-out")
        waiting.set_function(lambda: records_waiting(self._producer))
        self._sender = Sender(self._producer)

    async def _start_faust(self) -> None:
        self._membership = None
        self._build()
        try:
            await self._app.start()
        except BaseException:
            await close_within(STOP_S_MAX, self._app.stop())
            self._app = None
            raise

    async def stop(self) -> None:
        """Stop taking, finish what is in flight within the bound, commit, leave the group, close; also half started."""
        self._stopping = True
        try:
            if self._app is not None:
                self._intake.stop_taking()
                await self._intake.drain(timeout_s=self._drain_s)
                await self._intake.revoke()
                await close_within(STOP_S_MAX, self._app.stop())
            if self._commits is not None:
                self._commits.cancel()
                await asyncio.wait([self._commits])
            if self._producer is not None:
                await close_within(STOP_S_MAX, self._producer.stop())
        finally:
            if self._lock is not None:
                self._lock.close()

    @property
    def ready(self) -> bool:
        """Whether this worker is in its group, with the table recovered."""
        return self._commits is not None and self._app.tables.actives_ready and not self._app.rebalancing

    def progress(self) -> FanOutProgress:
        """Return how far this worker is; being not `ready`, or not knowing where to begin, counts as due work."""
        recovered = sum(offset or 0 for offset in self._app.tables.recovery.active_offsets.values())
        due = not self.ready or not self._intake.open or any(self.lag().values())
        return FanOutProgress(self._intake.finished + recovered, due)

    def lag(self) -> dict[str, int]:
        """Return how many records of each topic are not done, in this worker's partitions, as of the last fetch."""
        lag = dict.fromkeys(self._source_of, 0)
        for part in self._app.consumer.assignment():
            done = self._intake.done(part)
            if part.topic in lag and done is not None:
                lag[part.topic] += max(0, (self._app.consumer.highwater(part) or 0) - done)
        return lag

    async def wait_failed(self) -> BaseException:
        """Return the reason when fan-out cannot go on: end the process, and start it again."""
        while not self._failure.done():
            if self._app.crash_reason is not None:
                crashed = FaustCrashed(f"Faust crashed: {self._app.crash_reason!r}")
                crashed.__cause__ = self._app.crash_reason
                return crashed
            await asyncio.wait([self._failure], timeout=0.25)
        return self._failure.exception() or FaustCrashed("unknown")

    def _fail(self, error: BaseException) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    async def _reach(self, start: Callable[[], Awaitable[object]]) -> None:
        """Run ``start`` until the broker is there for it."""
        while True:
            await wait_for_kafka(self._kafka)
            try:
                await start()
            except KafkaError as error:
                log.warning("broker_unavailable", reason=str(error))
                await asyncio.sleep(1)
            else:
                return

    # Wiring

    def _build(self) -> None:
        hooks = Hooks(self._take_all, self._on_assigned, self._on_revoked, self._table_watch.recovered)
        self._app, databases = build_app(
            self._kafka,
            self._names,
            self._source_of,
            self._data_dir,
            hooks,
            partitions=self._partitions,
            ttl_s=2 * max(self._dedup_ttl_s.values(), default=1),
        )
        self._seen = SeenTable(
            databases, reached=self._recovered_to, append=partial(self._sender.append, self._names.seen_changelog)
        )
        fan_out = FanOut(
            names=self._names,
            routes=self._routes,
            dedup_ttl_s=self._dedup_ttl_s,
            body_bytes_max=self._kafka.record_bytes_max,
            seen=self._seen,
            send=self._sender.send,
            ensure_owned=self._ensure_owned,
            now_ms=lambda: time.time_ns() // 1_000_000,
            metrics=self._metrics,
            tracing=self._tracing,
        )
        offsets = GroupOffsets(lambda: self._app.consumer, self._group_metrics)
        self._intake = Intake(fan_out.fan_out, offsets, self._fail)
        self._metrics.capacity_used_ratio.labels("fan_out_in_work").set_function(lambda: self._intake.used_ratio)

    # What Faust calls

    async def _take_all(self, stream: Any) -> None:
        async for event in stream.events():
            message = event.message
            record = Taken(
                topic=message.topic,
                source=self._source_of[message.topic],
                partition=message.partition,
                offset=message.offset,
                key=message.key,
                value=message.value,
                headers=message.headers,
                generation=message.generation_id,
            )
            await self._intake.take(record)

    async def _on_assigned(self, _app: Any, assigned: set[Any], **_: Any) -> None:
        if self._membership is None:
            self._membership = Membership(self._app.consumer._thread._consumer)
            self._membership.watch()
        self._membership.joined()
        generation = self._app.consumer_generation_id
        parts = [part for part in assigned if part.topic in self._source_of]
        self._intake.assign([TopicPartition(*part) for part in parts], generation)
        self._group_metrics.assigned(len(parts))
        self._table_watch.assigned()
        log.info("partitions_assigned", count=len(parts), generation=generation)

    async def _on_revoked(self, _app: Any, revoked: set[Any], **_: Any) -> None:
        await self._intake.drain(timeout_s=self._drain_s)
        await self._intake.revoke()
        self._seen.forget()

    # What fan-out calls

    async def _ensure_owned(self, record: Taken) -> None:
        while True:
            if record.generation != self._intake.generation or self._membership is None:
                raise Revoked
            if self._membership.certain(record.generation):
                return
            if self._membership.lost(record.generation):
                raise Revoked
            await asyncio.sleep(OWNERSHIP_S)

    def _recovered_to(self, partition: int) -> int | None:
        offset: int | None = self._app.tables.recovery.active_offsets.get(
            TopicPartition(self._names.seen_changelog, partition)
        )
        return offset

    def _commits_ended(self, task: asyncio.Task[None]) -> None:
        """Tell of commits that end before their worker: events would go on to be fanned out, and repeated for ever."""
        if not self._stopping:
            self._fail((None if task.cancelled() else task.exception()) or FaustCrashed("the commits ended"))

    async def _commit_forever(self) -> None:
        while True:
            await asyncio.sleep(COMMIT_EVERY_S)
            await self._intake.commit()
            self._table_watch.look(self._app.tables, self._seen.databases)
