"""``headrace ingest``: one process that serves the public port, or a parent that keeps several serving it."""

from __future__ import annotations

import asyncio
import os
import socket

import structlog
from prometheus_client import CollectorRegistry

from headrace.config import RoutingTable
from headrace.context import Settings
from headrace.ingest_admin import IngestAdmin
from headrace.ingest_children import Children, log_started
from headrace.ingest_process import IngestOptions, IngestProcess, stop_event
from headrace.ingest_reload import Hangup
from headrace.level_signals import obey_level_signals
from headrace.listen_socket import bind
from headrace.live_sources import live_sources

log = structlog.get_logger("ingest")


async def run_ingest(settings: Settings, options: IngestOptions) -> int:
    """Accept events until SIGTERM or SIGINT, finish those in flight, and return 0.

    Raises:
        ConfigError, SourceError: the routing table or a secret is not usable.
        PortTaken, AdminPortTaken: a port is.
        IngestFailed, TopicError: it cannot go on.
    """
    hangup = Hangup()
    hangup.listen()
    table = settings.table()
    live_sources(settings, table)  # every mistake before anything starts
    settings.kafka(table)
    sockets = bind(options.host, options.port, options.processes)
    try:
        if options.processes == 1:
            return await _run_alone(settings, table, options, sockets[0], hangup)
        return await Children(settings, table, options, sockets, hangup).run()
    finally:
        for sock in sockets:
            sock.close()


async def _run_alone(
    settings: Settings, table: RoutingTable, options: IngestOptions, sock: socket.socket, hangup: Hangup
) -> int:
    registry = CollectorRegistry()
    process = IngestProcess(settings, table, options, registry)
    stopped = stop_event()
    obey_level_signals(settings.logs)
    admin = IngestAdmin(
        settings, table, options, sources=[registry], pids=lambda: [os.getpid()], ready=process.why_not_ready
    )

    async def reload() -> None:
        taken = await admin.reread()
        if taken is not None:
            process.take(*taken)

    async with admin.serving(), process.serving(sock):
        log_started(sock, options)
        admin.failure.add_done_callback(lambda _: stopped.set())
        reloads = asyncio.create_task(hangup.serve(reload), name="reload")
        await stopped.wait()
        reloads.cancel()
        log.info("ingest_stopping")
    if admin.failure.done():
        raise admin.failure.result()
    return 0
