"""``headrace worker``: fan-out, delivery and retries in one process, or one of the two sides alone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from functools import partial
from pathlib import Path

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from headrace.admin import AdminServer
from headrace.cluster import ClusterExporter
from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.exporter import DepthExporter, export_dead_letters
from headrace.failure import sentence_of
from headrace.hangup import take_hangups
from headrace.level_signals import obey_level_signals
from headrace.parts import Parts
from headrace.process import allow_connections, tune_garbage_collection
from headrace.queues import DestinationQueues, Surroundings
from headrace.rehearsal import secrets_that_are_set
from headrace.topics import ensure_topics
from headrace.tracing import start_tracing
from headrace.watchdog import LoopWatchdog
from headrace.worker_metrics import WorkerMetrics
from headrace.worker_progress import failing, stalled, states_of
from headrace.worker_reload import Reloads
from headrace.worker_table import WorkerTable
from streams.cancellations import Cancellations
from streams.closing import close_within
from streams.fan_out_member import FanOutMember
from streams.fold import following_fold
from streams.herald import Herald
from streams.kafka import KafkaUnavailable, records_waiting, wait_for_kafka
from streams.marks import Marks
from streams.own_events import OwnEvents
from streams.pauses import Pauses, publish
from streams.retries import Retries
from streams.schedules import Timetable, worker_name
from streams.shared import Shared
from streams.topic_configs import TopicError

PRODUCER_STOP_S = 5.0

log = structlog.get_logger("worker")


class Worker:
    """Everything that one worker process runs, and its life."""

    def __init__(
        self, settings: Settings, *, only: str | None, admin_host: str, admin_port: int, data_dir: Path
    ) -> None:
        self.settings = settings
        self.fans_out, self.delivers = only != "deliver", only != "fan-out"
        self.data_dir = data_dir
        self.current = WorkerTable(settings)
        self.kafka, self.names = settings.kafka(self.current.table), settings.topic_names
        self.tracing = start_tracing(settings.environ, "worker")
        self.metrics = WorkerMetrics(ready=lambda: self.why_not_ready() is None)
        self.admin = AdminServer(admin_host, admin_port, metrics=self.metrics.page, ready=self.why_not_ready)
        self.metrics.announce(self.current, fans_out=self.fans_out)
        self.own_events = OwnEvents(self.names, lambda: self.current.routes, self.metrics.streams)
        self.pauses = Pauses()
        self.cancellations = Cancellations()
        self.queues: DestinationQueues | None = None
        self.fan_out: FanOutMember | None = None
        self.retries: Retries | None = None
        self.exporter = DepthExporter(
            kafka=self.kafka,
            groups=self.current.queue_groups,
            queue_depth_max=settings.queue_depth_max,
            data_dir=data_dir,
            queue_depth=self.metrics.streams.queue_depth,
            capacity=self.metrics.streams.capacity_used_ratio,
        )
        self.parts = Parts()
        self._started = False
        self._reloads = Reloads(
            settings,
            self.current,
            self.metrics,
            fans_out=self.fans_out,
            change_queues=self._change_queues,
            on_defect=self.parts.fail,
        )

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT (0), or until a part cannot go on (1)."""
        serving = asyncio.create_task(self._serve(), name="worker")

        def end() -> None:
            self.parts.ended.set()
            if not self._started:
                serving.cancel()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, end)
        loop.add_signal_handler(signal.SIGINT, end)
        take_hangups(self._reloads.ask)
        obey_level_signals(self.settings.logs)
        try:
            await serving
        except asyncio.CancelledError:
            pass  # a signal during the start
        except Exception as error:
            self.parts.failure = self.parts.failure or error
        if self.parts.failure is not None:
            cause = self.parts.failure.__cause__ or self.parts.failure
            part = {"part": str(self.parts.failure)} if cause is not self.parts.failure else {}
            log.error("worker_failed", **part, error=sentence_of(cause))
            if not self._started:
                raise self.parts.failure  # before there was anything to lose: one line for whoever started it
            return 1
        return 0

    async def _serve(self) -> None:
        allow_connections()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self.tracing.stop)
            await self.admin.start()
            stack.push_async_callback(self.admin.stop)
            self.parts.spawn(stack, "loop watchdog", LoopWatchdog().run())
            cluster = ClusterExporter(self.kafka, self.current.topics, self.metrics.cluster)
            self.parts.spawn(stack, "cluster", cluster.run())
            if not await self._kafka_ready():
                return
            producer = self.kafka.producer()
            await producer.start()
            stack.push_async_callback(_stop_producer, producer)
            waiting = self.metrics.streams.producer_queue_records.labels("deliver")
            waiting.set_function(lambda: records_waiting(producer))
            pauses = following_fold(self.kafka, self.names.pauses, self.pauses.apply)
            pause_task = await stack.enter_async_context(pauses)
            self.parts.watch(pause_task, "pauses")
            self.pauses.on_change = self._on_pause
            cancelled = following_fold(self.kafka, self.names.cancellations, self.cancellations.apply)
            self.parts.watch(await stack.enter_async_context(cancelled), "cancellations")
            await self._start_parts(stack, producer)
            tune_garbage_collection()
            self._started = True
            self._reloads.begin()
            log.info("worker_started", fan_out=self.fans_out, deliver=self.delivers)
            await self.parts.ended.wait()
            log.info("worker_stopping")

    async def _kafka_ready(self) -> bool:
        try:
            await wait_for_kafka(self.kafka, timeout_s=2)
        except KafkaUnavailable as error:
            log.warning("waiting_for_kafka", error=str(error))
            await wait_for_kafka(self.kafka)
        try:
            await ensure_topics(self.settings, self.current.table)
        except (TopicError, KafkaError, KafkaUnavailable) as error:
            self.parts.failure = error
            return False
        return True

    async def _start_parts(self, stack: contextlib.AsyncExitStack, producer: AIOKafkaProducer) -> None:
        trimmed = self.current.trimmed_topics if self.delivers else list  # none
        self.parts.spawn(stack, "exporter", self.exporter.run(trim=trimmed))
        self.parts.spawn(
            stack,
            "dead letters",
            export_dead_letters(
                self.kafka, self.names, self.metrics.streams.dead_letters.outstanding, self.current.table.destinations
            ),
        )
        if self.fans_out:
            if self.current.table.schedules:  # first: what is due need not wait until the table is recovered
                await self._start_schedules(stack, producer)
            self.fan_out = self._new_fan_out()
            stack.push_async_callback(self.fan_out.stop)
            await self.fan_out.start()
            self.parts.spawn(stack, "fan-out", failing(self.fan_out))
        if self.delivers:
            if self.current.table.delays_s:
                await self._start_retries(stack, producer)
            herald = Herald(self.own_events, partial(publish, producer))
            stack.push_async_callback(herald.stop)
            self.queues = DestinationQueues(self._surroundings(producer, herald))
            stack.push_async_callback(self.queues.stop)
            await self._change_queues(self.current.table)
        self.parts.spawn(stack, "watchdog", self._watch_progress())

    async def _start_retries(self, stack: contextlib.AsyncExitStack, producer: AIOKafkaProducer) -> None:
        self.retries = retries = Retries(
            kafka=self.kafka,
            names=self.names,
            producer=producer,
            delays_s=set(self.current.table.delays_s),
            destinations=lambda: frozenset(self.current.table.destinations),
            own_events=self.own_events,
            metrics=self.metrics.streams,
        )
        await retries.start()
        self.parts.spawn(stack, "retries", retries.run())
        stack.push_async_callback(retries.stop)

    async def _start_schedules(self, stack: contextlib.AsyncExitStack, producer: AIOKafkaProducer) -> None:
        marks = Marks()
        following = following_fold(self.kafka, self.names.schedules, marks.read)
        self.parts.watch(await stack.enter_async_context(following), "marks of schedules")
        timetable = Timetable(
            lambda: self.current.schedules,
            marks,
            partial(publish, producer),
            self.names,
            self.metrics.schedules,
            worker=worker_name(),
        )
        self.parts.spawn(stack, "schedules", timetable.run())

    def _surroundings(self, producer: AIOKafkaProducer, herald: Herald) -> Surroundings:
        shared = Shared(
            kafka=self.kafka,
            names=self.names,
            producer=producer,
            routes=lambda: self.current.routes,
            pauses=self.pauses,
            cancellations=self.cancellations,
            own_events=self.own_events,
            herald=herald,
            metrics=self.metrics.streams,
            tracing=self.tracing,
        )
        return Surroundings(shared, self.settings, self.metrics.connectors, self.parts.watch)

    def _new_fan_out(self) -> FanOutMember:
        return FanOutMember(
            self.kafka,
            self.names,
            self.current.table.dedup_ttl_s,
            lambda: self.current.routes,
            self.data_dir,
            self.metrics.streams,
            partitions=self.settings.partitions,
            tracing=self.tracing,
        )

    def _on_pause(self, destination: str, paused: bool) -> None:
        log.info("destination_paused" if paused else "destination_resumed", destination=destination)
        if self.queues is not None:
            self.queues.paused(destination, paused)

    async def _change_queues(self, table: RoutingTable) -> None:
        if self.queues is not None:
            secrets = secrets_that_are_set(self.settings, table)
            await self.queues.change(table.destinations, prioritized=table.prioritized, secrets=secrets)

    # -- what others ask --------------------------------------------------------------------------------------------

    def why_not_ready(self) -> str | None:
        """Return why no action would run now, or ``None`` when all is well."""
        if self.parts.ended.is_set():
            return "stopping"
        if not self._started:
            return "starting: Kafka, topics and consumers"
        if self.fan_out is not None and not self.fan_out.ready:
            return "fan-out recovers its table"
        waiting = self.queues.not_joined() if self.queues is not None else []
        return f"consumers of {', '.join(waiting)} join their groups" if waiting else None

    async def _watch_progress(self) -> None:
        raise await stalled(lambda: states_of(self.queues, self.fan_out, self.retries, self.exporter))


async def _stop_producer(producer: AIOKafkaProducer) -> None:
    # stop() waits for queued batches for ever while the broker is away.
    await close_within(
        PRODUCER_STOP_S, producer.stop(), lambda error: log.warning("producer_stop_failed", error=str(error))
    )


async def run_worker(settings: Settings, *, only: str | None, admin_host: str, admin_port: int, data_dir: Path) -> int:
    """Run one worker process and return its exit code: 0 after a signal, 1 when it cannot go on.

    Raises:
        ConfigError: the routing table is not valid.
        SecretError: a destination's secret is missing.
    """
    worker = Worker(settings, only=only, admin_host=admin_host, admin_port=admin_port, data_dir=data_dir)
    return await worker.run()
