"""The spool of one ingest process, wired: its place, its drain, its gauges, and what it tells as an own event."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator, Callable

import structlog

from headrace.config import RoutingTable
from headrace.context import Settings
from ingest.accept import Unavailable
from ingest.drain import Drain
from ingest.keep import SpooledPublisher
from ingest.metrics import IngestMetrics
from ingest.outage import Outage
from ingest.own_spool import own_spool
from ingest.publisher import Publisher
from ingest.settings import SpoolSettings
from ingest.spool import Bounds
from ingest.spool_watch import SpoolWatch
from streams.own_events import spool_filling

DIRECTORY = "spool"

log = structlog.get_logger("ingest")


def bounds_of(settings: SpoolSettings, processes: int) -> Bounds:
    """Return the bounds of one of ``processes``: its share of events and bytes."""
    return Bounds(
        max(1, settings.events_max // processes), max(1, settings.bytes_max // processes), settings.disk_free_bytes_min
    )


@contextlib.asynccontextmanager
async def spooling(
    settings: Settings,
    table: Callable[[], RoutingTable],
    publisher: Publisher,
    metrics: IngestMetrics,
    *,
    chosen: SpoolSettings,
    processes: int,
) -> AsyncIterator[SpooledPublisher]:
    """Give what publishes an event or puts it into the spool; drain the spool meanwhile.

    ``table`` is the routing table as it is now: own events are made while it has a route for them.

    Raises:
        NoPlace: there is no spool to be had in the data directory.
    """
    place = settings.data_dir / DIRECTORY
    async with own_spool(place, bounds_of(chosen, processes)) as spool:
        outage = Outage()
        keep = SpooledPublisher(publisher, spool, outage, metrics.spool, after_s=chosen.after_s)
        drain = Drain(
            spool,
            publisher.publish,
            outage,
            metrics.spool,
            place=place,
            per_s=chosen.drain_per_s / processes,
            ready=lambda: publisher.ready,
        )

        async def tell(used_ratio: float) -> None:
            process = f"{socket.gethostname()}/{os.getpid()}"
            told = spool_filling(
                process, used_ratio=used_ratio, events=spool.events, bytes_=spool.bytes, now_ms=_now_ms()
            )
            log.warning("spool_filling", used_ratio=round(used_ratio, 2), events=spool.events, bytes=spool.bytes)
            event = told.event()
            if table().compiled_routes().for_event(event):
                try:
                    await keep.publish(event)
                except Unavailable:
                    log.error("own_event_unsent", type=told.type, reason="neither Kafka nor the spool took it")

        watch = SpoolWatch(drain.spools, metrics.spool, capacity=metrics.capacity_used_ratio, filling=tell)
        tasks = [asyncio.create_task(drain.run(), name="drain"), asyncio.create_task(watch.run(), name="spool")]
        try:
            yield keep
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _now_ms() -> int:
    return int(time.time() * 1000)
