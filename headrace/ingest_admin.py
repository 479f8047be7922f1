"""The admin port of ingest: one for all its processes, their values added up, with the gauges read from the broker."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import CollectorRegistry, Gauge, Info, generate_latest
from prometheus_client.core import Metric

from headrace import __version__
from headrace.admin import AdminServer
from headrace.cluster import ClusterExporter, ClusterMetrics
from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.exporter import DepthExporter, export_dead_letters
from headrace.ingest_process import IngestOptions
from headrace.ingest_reload import ensure_new_topics, read_anew
from headrace.price_metrics import announce_prices
from headrace.process_metrics import ProcessMetrics
from headrace.reload import ReloadRefused
from headrace.reload_metrics import ReloadMetrics
from headrace.topics import ensure_topics, topic_specs
from ingest.sources import Source
from streams.depths import queue_groups
from streams.kafka import KafkaRefused, KafkaUnavailable
from streams.topic_configs import TopicError

RETRY_S = 2.0
STOP_TIMEOUT_S = 2.0  # what only reads may be left behind

log = structlog.get_logger("ingest")


class Metrics(Protocol):
    """Where metrics come from; a registry is one."""

    def collect(self) -> Iterable[Metric]: ...  # noqa: D102 - see the class


class IngestAdmin:
    """Creates the topics, exports what the broker says, and serves the admin pages.

    ``failure`` is set to what makes it pointless to go on, as a topic with another number of partitions.
    """

    def __init__(
        self,
        settings: Settings,
        table: RoutingTable,
        options: IngestOptions,
        *,
        sources: Iterable[Metrics],
        pids: Callable[[], Sequence[int]],
        ready: Callable[[], str | None],
    ) -> None:
        self._settings = settings
        self.table = table  # a reload replaces it
        self._body_bytes_max = table.body_bytes_max  # the producer and the topics hold no more
        self._processes = options.processes
        self._ready = ready
        self._topics_ready = False
        self.failure: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self.registry = CollectorRegistry()
        Info("headrace_build", "Version of this process.", registry=self.registry).info({"version": __version__})
        self._queue_depth = Gauge(
            "headrace_queue_depth", "Records of the topic that are not yet settled.", ["topic"], registry=self.registry
        )
        self._dead_letters = Gauge(
            "headrace_dead_letters", "Outstanding dead letters.", ["destination"], registry=self.registry
        )
        self._capacity = Gauge(
            "headrace_capacity_used_ratio", "Used share of a limit.", ["resource"], registry=self.registry
        )
        self._cluster = ClusterMetrics(self.registry)
        process = ProcessMetrics(pids)
        self._capacity.labels("open_files").set_function(process.open_files_ratio)
        self._reloads = ReloadMetrics(self.registry)
        announce_prices(self.registry, settings.environ)
        self._merged = Merged((*sources, process, self.registry))
        self.server = AdminServer(
            options.admin_host, options.admin_port, metrics=self._metrics, ready=self._why_not_ready
        )

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the block runs; raises `headrace.admin.AdminPortTaken` at its start."""
        await self.server.start()
        work = [asyncio.create_task(self._work()), asyncio.create_task(self._watch_cluster())]
        try:
            yield
        finally:
            for task in work:
                task.cancel()
            await asyncio.wait(work, timeout=STOP_TIMEOUT_S)
            await self.server.stop()

    async def reread(
        self, *, unchanged: Callable[[], bool] = lambda: True
    ) -> tuple[RoutingTable, dict[str, Source]] | None:
        """Return the routing table as it is now and its sources, with the topics of new ones; ``None`` keeps the old.

        ``unchanged`` says whether the file is still what it was before it was read.
        """
        try:
            table, sources = await self._read_anew(unchanged)
        except ReloadRefused as error:
            log.error("reload_refused", error=str(error))
            self._reloads.count(taken=False)
            return None
        if set(table.sources) - set(self.table.sources):
            log.warning("reload_needs_restart", reason="fan-out takes the events of a new source after its restart")
        self.table = table
        self._reloads.count(taken=True)
        return table, sources

    async def _read_anew(self, unchanged: Callable[[], bool]) -> tuple[RoutingTable, dict[str, Source]]:
        table, sources = await read_anew(
            self._settings, self.table, body_bytes_max=self._body_bytes_max, processes=self._processes
        )
        if not unchanged():
            raise ReloadRefused("the routing table was changed while it was read: send SIGHUP again")
        await ensure_new_topics(self._settings, self.table, table)
        return table, sources

    def _why_not_ready(self) -> str | None:
        # With a spool events are accepted before Kafka was ever reached.
        known = self._topics_ready or self.table.ingest.spool_settings is not None
        return self._ready() if known else "starting: Kafka and topics"

    def _metrics(self) -> bytes:
        registry = CollectorRegistry()
        registry.register(self._merged)
        return generate_latest(registry)

    async def _work(self) -> None:
        if await self._create_topics():
            await self._export()

    async def _watch_cluster(self) -> None:
        # From the start: a Kafka that is not there yet is what it is to tell.
        topics = [spec.name for spec in topic_specs(self._settings, self.table)]
        cluster = ClusterExporter(self._settings.kafka(self.table), lambda: topics, self._cluster)
        await _keep_up(cluster.run)

    async def _create_topics(self) -> bool:
        while True:
            try:
                await ensure_topics(self._settings, self.table)
            except (TopicError, KafkaRefused) as error:
                self.failure.set_result(error)
                return False
            except (KafkaUnavailable, KafkaError) as error:
                log.warning("waiting_for_kafka", error=str(error) or type(error).__name__)
                await asyncio.sleep(RETRY_S)
            else:
                self._topics_ready = True
                return True

    async def _export(self) -> None:
        names, kafka = self._settings.topic_names, self._settings.kafka(self.table)
        depths = DepthExporter(
            kafka=kafka,
            groups=self._groups,
            queue_depth_max=self._settings.queue_depth_max,
            data_dir=self._settings.data_dir,
            queue_depth=self._queue_depth,
            capacity=self._capacity,
        )
        await asyncio.gather(
            _keep_up(depths.run),
            _keep_up(lambda: export_dead_letters(kafka, names, self._dead_letters, self.table.destinations)),
        )

    def _groups(self) -> Mapping[str, str]:
        return queue_groups(
            self._settings.topic_names,
            sources=self.table.dedup_ttl_s,
            destinations=self.table.destinations,
            delays_s=self.table.delays_s,
        )


class Merged:
    """A collector of several: the samples of a metric that more than one has stand under one head."""

    def __init__(self, sources: Iterable[Metrics]) -> None:
        self._sources = tuple(sources)

    def collect(self) -> Iterable[Metric]:
        """Return every metric once."""
        merged: dict[str, Metric] = {}
        for source in self._sources:
            for metric in source.collect():
                if metric.name in merged:
                    merged[metric.name].samples.extend(metric.samples)
                else:
                    merged[metric.name] = metric
        return merged.values()


async def _keep_up(work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` again whenever it fails: gauges must not take ingest down."""
    while True:
        try:
            await work()
        except Exception as error:  # whatever it is, events are accepted all the same
            log.warning("export_failed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(RETRY_S)
