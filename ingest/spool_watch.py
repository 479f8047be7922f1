"""What is told of the spools of one process: their gauges, and that they fill up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable

import structlog
from prometheus_client import Gauge

from ingest.spool import Spool, SpoolBroken
from ingest.spool_metrics import SpoolMetrics

INTERVAL_S = 1.0
FILLING_RATIO = 0.5  # told once; with room left, so that what tells it finds a place in the spool itself
CALM_RATIO = 0.25  # below it, filling up is news again

log = structlog.get_logger("ingest")


class SpoolWatch:
    """Looks at the spools for ever.

    ``capacity`` is the gauge of used shares; ``filling`` is called with the spool's when it passes `FILLING_RATIO`.
    """

    def __init__(
        self,
        spools: Callable[[], Iterable[Spool]],
        metrics: SpoolMetrics,
        *,
        capacity: Gauge,
        filling: Callable[[float], Awaitable[None]],
        now_s: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._spools, self._metrics, self._capacity, self._filling = spools, metrics, capacity, filling
        self._now_s, self._sleep = now_s, sleep
        self._told = False

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            try:
                await self.look()
            except Exception:  # gauges that stand still would hide a spool that fills
                log.exception("spool_watch_failed")
            await self._sleep(INTERVAL_S)

    async def look(self) -> None:
        """Set the gauges to what is now, and tell if the spool is filling."""
        spools = list(self._spools())
        for spool in spools:
            try:
                await spool.look()
            except SpoolBroken:
                continue  # logged; the gauges keep what was last known
        metrics, now_s = self._metrics, self._now_s()
        metrics.events.set(sum(spool.events for spool in spools))
        metrics.bytes.set(sum(spool.bytes for spool in spools))
        waited_s = [now_s - spool.oldest_s for spool in spools if spool.oldest_s is not None]
        metrics.oldest_s.set(max(0.0, *waited_s) if waited_s else 0)
        used_ratio = max((spool.used_ratio for spool in spools), default=0.0)
        self._capacity.labels("spool").set(min(1.0, used_ratio))
        if used_ratio >= FILLING_RATIO and not self._told:
            self._told = True
            await self._filling(used_ratio)
        elif used_ratio < CALM_RATIO:
            self._told = False
