"""``headrace worker``: fan-out, delivery and retries in one process, or one of the two sides alone."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Info, generate_latest

from connectors.metrics import ConnectorMetrics
from headrace import __version__
from headrace.admin import AdminServer
from headrace.cluster import ClusterExporter, ClusterMetrics
from headrace.config import ConfigError
from headrace.context import SecretError, Settings
from headrace.exporter import DepthExporter, export_dead_letters
from headrace.failure import sentence_of
from headrace.hangup import take_hangups
from headrace.level_signals import obey_level_signals
from headrace.process import allow_connections, tune_garbage_collection
from headrace.process_metrics import ProcessMetrics
from headrace.queues import DestinationQueues, DestinationUnusable, Surroundings
from headrace.reload_metrics import ReloadMetrics
from headrace.topics import ensure_topics, topic_specs
from headrace.tracing import start_tracing
from headrace.watchdog import LoopWatchdog, find_stalled
from headrace.worker_reload import ReloadRefused, require_takeable
from streams.cancellations import Cancellations
from streams.closing import close_within
from streams.depths import queue_groups
from streams.event import OWN_TYPES
from streams.fan_out_member import FanOutMember
from streams.fold import following_fold
from streams.herald import Herald
from streams.kafka import KafkaUnavailable, records_waiting, wait_for_kafka
from streams.marks import Marks
from streams.metrics import ScheduleMetrics, StreamsMetrics
from streams.own_events import OwnEvents
from streams.pauses import Pauses, publish
from streams.retries import Retries
from streams.routing import Routes
from streams.schedules import Timetable, worker_name
from streams.shared import Shared
from streams.topic_configs import TopicError

STALL_S_MAX = 180.0
WATCH_INTERVAL_S = 5.0
PRODUCER_STOP_S = 5.0

log = structlog.get_logger("worker")


REFUSALS = (ConfigError, DestinationUnusable, SecretError, TopicError, KafkaError, KafkaUnavailable, ReloadRefused)


class PartFailed(Exception):
    """A part of the worker ended, or stopped advancing, although nobody stopped it."""


class Worker:
    """Everything that one worker process runs, and its life."""

    def __init__(
        self, settings: Settings, *, only: str | None, admin_host: str, admin_port: int, data_dir: Path
    ) -> None:
        self.settings = settings
        self.fans_out, self.delivers = only != "deliver", only != "fan-out"
        self.data_dir = data_dir
        self.table = settings.table()
        self.kafka, self.names = settings.kafka(self.table), settings.topic_names
        self._body_bytes_max = self.table.body_bytes_max
        self.routes: Routes = self.table.compiled_routes()
        self.schedules = self.table.compiled_schedules()
        self.tracing = start_tracing(settings.environ, "worker")
        self.registry = CollectorRegistry()
        self.metrics, self.connector_metrics = StreamsMetrics(self.registry), ConnectorMetrics(self.registry)
        self.schedule_metrics = ScheduleMetrics(self.registry)
        self.reload_metrics = ReloadMetrics(self.registry, "worker")
        Info("headrace_build", "Version of this process.", registry=self.registry).info({"version": __version__})
        self.admin = AdminServer(
            admin_host, admin_port, metrics=lambda: generate_latest(self.registry), ready=self.why_not_ready
        )
        self.metrics.ready.set_function(lambda: float(self.why_not_ready() is None))
        process = ProcessMetrics()
        self.registry.register(process)
        self.metrics.capacity_used_ratio.labels("open_files").set_function(process.open_files_ratio)
        self._announce()
        self.own_events = OwnEvents(self.names, lambda: self.routes, self.metrics)
        self.pauses = Pauses()
        self.cancellations = Cancellations()
        self.queues: DestinationQueues | None = None
        self.fan_out: FanOutMember | None = None
        self.retries: Retries | None = None
        self.exporter = DepthExporter(
            kafka=self.kafka,
            groups=self._queue_groups,
            queue_depth_max=settings.queue_depth_max,
            data_dir=data_dir,
            queue_depth=self.metrics.queue_depth,
            capacity=self.metrics.capacity_used_ratio,
        )
        self._started = asyncio.Event()
        self._reload_asked = False
        self._reloads: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._failure: BaseException | None = None
        self._reloading = asyncio.Lock()

    # -- life -----------------------------------------------------------------------------------------------------

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT (0), or until a part cannot go on (1)."""
        serving = asyncio.create_task(self._serve(), name="worker")

        def end() -> None:
            self._ended.set()
            if not self._started.is_set():
                serving.cancel()

        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, end)
        loop.add_signal_handler(signal.SIGINT, end)
        take_hangups(self._reload_soon)
        obey_level_signals(self.settings.logs)
        try:
            await serving
        except asyncio.CancelledError:
            pass  # a signal during the start
        except Exception as error:
            self._failure = self._failure or error
        if self._failure is not None:
            cause = self._failure.__cause__ or self._failure
            part = {"part": str(self._failure)} if cause is not self._failure else {}
            log.error("worker_failed", **part, error=sentence_of(cause))
            if not self._started.is_set():
                raise self._failure  # before there was anything to lose: one line for whoever started it
            return 1
        return 0

    async def _serve(self) -> None:
        allow_connections()
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(asyncio.to_thread, self.tracing.stop)
            await self.admin.start()
            stack.push_async_callback(self.admin.stop)
            self._spawn(stack, "loop watchdog", LoopWatchdog().run())
            cluster = ClusterExporter(self.kafka, self._topics, ClusterMetrics(self.registry))
            self._spawn(stack, "cluster", cluster.run())
            if not await self._kafka_ready():
                return
            producer = self.kafka.producer()
            await producer.start()
            stack.push_async_callback(_stop_producer, producer)
            waiting = self.metrics.producer_queue_records.labels("deliver")
            waiting.set_function(lambda: records_waiting(producer))
            pauses = following_fold(self.kafka, self.names.pauses, self.pauses.apply)
            pause_task = await stack.enter_async_context(pauses)
            self._watch(pause_task, "pauses")
            self.pauses.on_change = self._on_pause
            cancelled = following_fold(self.kafka, self.names.cancellations, self.cancellations.apply)
            self._watch(await stack.enter_async_context(cancelled), "cancellations")
            await self._start_parts(stack, producer)
            tune_garbage_collection()
            self._started.set()
            log.info("worker_started", fan_out=self.fans_out, deliver=self.delivers)
            await self._ended.wait()
            log.info("worker_stopping")

    async def _kafka_ready(self) -> bool:
        try:
            await wait_for_kafka(self.kafka, timeout_s=2)
        except KafkaUnavailable as error:
            log.warning("waiting_for_kafka", error=str(error))
            await wait_for_kafka(self.kafka)
        try:
            await ensure_topics(self.settings, self.table)
        except (TopicError, KafkaError, KafkaUnavailable) as error:
            self._failure = error
            return False
        return True

    async def _start_parts(self, stack: contextlib.AsyncExitStack, producer: AIOKafkaProducer) -> None:
        self._spawn(stack, "exporter", self.exporter.run(trim=self._trimmed_topics))
        self._spawn(
            stack,
            "dead letters",
            export_dead_letters(self.kafka, self.names, self.metrics.dead_letters.outstanding, self.table.destinations),
        )
        if self.fans_out:
            if self.table.schedules:  # first: what is due need not wait until the table is recovered
                await self._start_schedules(stack, producer)
            self.fan_out = self._new_fan_out()
            stack.push_async_callback(self.fan_out.stop)
            await self.fan_out.start()
            self._spawn(stack, "fan-out", _raising(self.fan_out))
        if self.delivers:
            if self.table.delays_s:
                await self._start_retries(stack, producer)
            herald = Herald(self.own_events, partial(publish, producer))
            stack.push_async_callback(herald.stop)
            self.queues = DestinationQueues(self._surroundings(producer, herald))
            stack.push_async_callback(self.queues.stop)
            await self.queues.change(self.table.destinations, prioritized=self.table.prioritized)
        self._spawn(stack, "watchdog", self._watch_progress())

    async def _start_retries(self, stack: contextlib.AsyncExitStack, producer: AIOKafkaProducer) -> None:
        self.retries = retries = Retries(
            kafka=self.kafka,
            names=self.names,
            producer=producer,
            delays_s=set(self.table.delays_s),
            destinations=lambda: frozenset(self.table.destinations),
            own_events=self.own_events,
            metrics=self.metrics,
        )
        await retries.start()
        self._spawn(stack, "retries", retries.run())
        stack.push_async_callback(retries.stop)

    async def _start_schedules(self, stack: contextlib.AsyncExitStack, producer: AIOKafkaProducer) -> None:
        marks = Marks()
        following = following_fold(self.kafka, self.names.schedules, marks.read)
        self._watch(await stack.enter_async_context(following), "marks of schedules")
        timetable = Timetable(
            lambda: self.schedules,
            marks,
            partial(publish, producer),
            self.names,
            self.schedule_metrics,
            worker=worker_name(),
        )
        self._spawn(stack, "schedules", timetable.run())

    def _surroundings(self, producer: AIOKafkaProducer, herald: Herald) -> Surroundings:
        shared = Shared(
            kafka=self.kafka,
            names=self.names,
            producer=producer,
            routes=lambda: self.routes,
            pauses=self.pauses,
            cancellations=self.cancellations,
            own_events=self.own_events,
            herald=herald,
            metrics=self.metrics,
            tracing=self.tracing,
        )
        return Surroundings(shared, self.settings, self.connector_metrics, self._watch)

    def _new_fan_out(self) -> FanOutMember:
        return FanOutMember(
            self.kafka,
            self.names,
            self.table.dedup_ttl_s,
            lambda: self.routes,
            self.data_dir,
            self.metrics,
            partitions=self.settings.partitions,
            tracing=self.tracing,
        )

    def _spawn(self, stack: contextlib.AsyncExitStack, name: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=name)
        self._watch(task, name)
        stack.push_async_callback(_cancel, task)

    def _watch(self, task: asyncio.Future[None], name: str) -> None:
        """End the worker when ``task`` fails, or ends before the worker does."""

        def ended(task: asyncio.Future[None]) -> None:
            if task.cancelled() or self._ended.is_set():
                return
            self._fail(task.exception() or PartFailed(f"{name} ended"))

        task.add_done_callback(ended)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:
            self._failure = error
        self._ended.set()

    def _on_pause(self, destination: str, paused: bool) -> None:
        log.info("destination_paused" if paused else "destination_resumed", destination=destination)
        if self.queues is not None:
            self.queues.paused(destination, paused)

    # -- reload ---------------------------------------------------------------------------------------------------

    def _reload_soon(self) -> None:
        if self._reload_asked:
            return  # the one that waits will read what is there now
        self._reload_asked = True
        task = asyncio.create_task(self._reload(), name="reload")
        self._reloads.add(task)  # the loop alone would not keep it
        task.add_done_callback(self._reloaded)

    def _reloaded(self, task: asyncio.Task[None]) -> None:
        self._reloads.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._fail(error)

    async def _reload(self) -> None:
        """Take over the routing table as it is now, all or nothing: an invalid one keeps the old."""
        async with self._reloading:
            await self._started.wait()
            self._reload_asked = False
            try:
                table = self.settings.table()
                routes = table.compiled_routes()
                now_ms = int(time.time() * 1000)
                require_takeable(table, self.table, body_bytes_max=self._body_bytes_max, now_ms=now_ms)
                await ensure_topics(self.settings, table)
                if self.queues is not None:
                    await self.queues.change(table.destinations, prioritized=table.prioritized)
            except REFUSALS as error:
                log.error("reload_refused", error=sentence_of(error))
                self.reload_metrics.count(taken=False)
                return
            if set(table.sources) != set(self.table.sources):
                log.warning("reload_needs_restart", reason="sources were added or removed")
            self.table, self.routes, self.schedules = table, routes, table.compiled_schedules()
            self._announce()
            self.reload_metrics.count(taken=True)
            log.info("reloaded", routes=len(routes), destinations=len(table.destinations))

    # -- what others ask --------------------------------------------------------------------------------------------

    def why_not_ready(self) -> str | None:
        """Return why no action would run now, or ``None`` when all is well."""
        if self._ended.is_set():
            return "stopping"
        if not self._started.is_set():
            return "starting: Kafka, topics and consumers"
        if self.fan_out is not None and not self.fan_out.ready:
            return "fan-out recovers its table"
        waiting = self.queues.not_joined() if self.queues is not None else []
        return f"consumers of {', '.join(waiting)} join their groups" if waiting else None

    def _announce(self) -> None:
        pairs = [(route.name, route.destination) for route in self.routes]
        sources = self.table.dedup_ttl_s if self.fans_out else ()
        self.metrics.announce(sources=sources, routes=pairs, own_events=OWN_TYPES)
        if self.fans_out:
            self.schedule_metrics.announce(schedule.name for schedule in self.schedules)

    def _queue_groups(self) -> dict[str, str]:
        return queue_groups(
            self.names,
            sources=self.table.dedup_ttl_s,
            destinations=self.table.destinations,
            delays_s=self.table.delays_s,
        )

    def _topics(self) -> list[str]:
        return [spec.name for spec in topic_specs(self.settings, self.table)]

    def _trimmed_topics(self) -> list[str]:
        if not self.delivers:
            return []
        queues = [self.names.deliveries(name) for name in self.table.destinations]
        queues += [self.names.deliveries(name, high=True) for name in self.table.destinations]
        return queues + [self.names.retries(delay_s) for delay_s in self.table.delays_s]

    async def _watch_progress(self) -> None:
        """End the worker when a part has due work for `STALL_S_MAX` and does not advance."""
        part = await find_stalled(self._states, stall_s_max=STALL_S_MAX, interval_s=WATCH_INTERVAL_S)
        raise PartFailed(f"{part} has work that is due and has not advanced for {STALL_S_MAX:.0f} s")

    def _states(self) -> dict[str, tuple[bool, object]]:
        """Return of each part whether it has due work, and how far it is."""
        states: dict[str, tuple[bool, object]] = {}
        for queue in self.queues.all.values() if self.queues is not None else ():
            states[queue.topic] = (queue.has_due_work(self.exporter.depths), queue.progress)
        if self.fan_out is not None:
            fan_out = self.fan_out.progress()
            states["fan-out"] = (fan_out.due, fan_out.advanced)
        if self.retries is not None:
            states["retries"] = (True, self.retries.turns)  # it looks at least once a second
        # Without news of the depths the broker is away, and nothing can advance.
        fresh = self.exporter.fresh()
        return {part: (due and fresh, progress) for part, (due, progress) in states.items()}


async def _raising(fan_out: FanOutMember) -> None:
    raise PartFailed("fan-out") from await fan_out.wait_failed()


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


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
