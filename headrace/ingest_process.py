"""One ingest process: the sources of the routing table, answered on a socket that it is given."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal
import socket
from collections.abc import AsyncIterator

import structlog
from prometheus_client import CollectorRegistry

from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.ingest_reload import Hangup, read_anew
from headrace.ingest_spool import spooling
from headrace.level_signals import obey_level_signals
from headrace.live_sources import live_sources
from headrace.process import allow_connections, tune_garbage_collection
from headrace.reload import ReloadRefused
from headrace.tracing import start_tracing
from ingest.keep import SpooledPublisher
from ingest.metrics import IngestMetrics
from ingest.publisher import Publisher
from ingest.server import IngestServer, Limits
from ingest.sources import Source

READY_INTERVAL_S = 0.25
CONNECT_WAIT_S = 3.0

log = structlog.get_logger("ingest")


@dataclasses.dataclass(frozen=True, slots=True)
class IngestOptions:
    """What the command line says about ingest."""

    host: str = "0.0.0.0"  # noqa: S104 - the public port is public
    port: int = 8080
    admin_host: str = "127.0.0.1"
    admin_port: int = 8081
    processes: int = 1
    in_flight_max: int = 1000  # in each process
    drain_notice_s: float = 0.0  # how long events are accepted after /readyz said that they soon are not


class IngestProcess:
    """Serves one socket until it is told to stop."""

    def __init__(
        self, settings: Settings, table: RoutingTable, options: IngestOptions, registry: CollectorRegistry
    ) -> None:
        self._settings = settings
        self._processes = options.processes
        self._drain_notice_s = options.drain_notice_s
        self._body_bytes_max = table.body_bytes_max
        self._table = table
        self._spooled: SpooledPublisher | None = None
        self.metrics = IngestMetrics(registry)
        self.metrics.answers.announce(table.sources)
        self._tracing = start_tracing(settings.environ, "ingest")
        self.publisher = Publisher(settings.kafka(table), settings.topic_names, tracing=self._tracing)
        self.server = IngestServer(
            live_sources(settings, table, processes=options.processes),
            self.publisher.publish,
            self.metrics,
            Limits(in_flight_max=options.in_flight_max),
            tracing=self._tracing,
        )
        self.stopping = False

    @contextlib.asynccontextmanager
    async def serving(self, sock: socket.socket) -> AsyncIterator[None]:
        """Accept events on ``sock`` while the block runs; at its end finish those in flight, then stop."""
        allow_connections()
        tune_garbage_collection()
        await self.publisher.start()
        # Connections wait in the socket's queue meanwhile. Without Kafka they are answered 503 after it.
        await self.publisher.connected(CONNECT_WAIT_S)
        reporter = asyncio.create_task(self._report_ready())
        try:
            async with self._spooling(), self.server.listen(sock):
                try:
                    yield
                finally:
                    self.stopping = True
                    self.metrics.ready.set(0)
                    self.server.announce_end()
                    await asyncio.sleep(self._drain_notice_s)
        finally:
            reporter.cancel()
            self.metrics.ready.set(0)
            await self.publisher.stop()
            await asyncio.to_thread(self._tracing.stop)

    @contextlib.asynccontextmanager
    async def _spooling(self) -> AsyncIterator[None]:
        """Let the server publish through a spool while the block runs, if the routing table has one."""
        chosen = self._table.ingest.spool_settings
        if chosen is None:
            yield
            return
        async with spooling(
            self._settings,
            lambda: self._table,
            self.publisher,
            self.metrics,
            chosen=chosen,
            processes=self._processes,
        ) as self._spooled:
            self.server.publish = self._spooled.publish
            yield

    def why_not_ready(self) -> str | None:
        """Return why no event would be accepted now, or ``None``."""
        if self.stopping:
            return "stopping"
        if self.publisher.ready or (self._spooled is not None and self._spooled.has_room):
            return None
        return "Kafka does not answer" + (", and the spool takes no more" if self._spooled is not None else "")

    async def reload(self) -> bool:
        """Take over the routing table and the secrets as they are now, and return whether: all or nothing.

        What is in flight is answered by what it began with. The topics of new sources are there already.
        """
        try:
            table, sources = await read_anew(
                self._settings, self._table, body_bytes_max=self._body_bytes_max, processes=self._processes
            )
        except ReloadRefused as error:
            log.error("reload_refused", error=str(error), pid=os.getpid())
            return False
        self.take(table, sources)
        return True

    def take(self, table: RoutingTable, sources: dict[str, Source]) -> None:
        """Answer by this table from the next request on."""
        self.metrics.answers.announce(table.sources)
        self._table, self.server.sources = table, sources
        log.info("reloaded", sources=len(sources), pid=os.getpid())

    async def _report_ready(self) -> None:
        while True:
            self.metrics.ready.set(self.why_not_ready() is None)
            self.metrics.kafka_answers.set(self.publisher.ready)
            self.metrics.producer_queue_records.labels("ingest").set(self.publisher.records_waiting)
            await asyncio.sleep(READY_INTERVAL_S)


def stop_event() -> asyncio.Event:
    """Return an event that SIGTERM and SIGINT set."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    loop.add_signal_handler(signal.SIGINT, stopped.set)
    return stopped


async def run_child(settings: Settings, options: IngestOptions, fd: int) -> int:
    """Serve the inherited listening socket ``fd`` until SIGTERM, or until the parent is gone; return the exit code."""
    parent = os.getppid()
    hangup = Hangup()
    hangup.listen()
    process = IngestProcess(settings, settings.table(), options, CollectorRegistry())
    stopped = stop_event()
    obey_level_signals(settings.logs)
    async with process.serving(socket.socket(fileno=fd)):
        reloads = asyncio.create_task(hangup.serve(process.reload), name="reload")
        while not stopped.is_set() and os.getppid() == parent:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopped.wait(), 0.5)
        reloads.cancel()
    return 0
