"""The drain: publishes what the spool holds once Kafka is back, the oldest first, and adopts orphaned spools.

It promises no order: an event that Kafka refuses stays, and those behind it go on. Live requests come first: at most
`WINDOW_EVENTS` of the spool are in flight, and no more than ``per_s`` a second are begun.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import structlog

from ingest.accept import Unavailable
from ingest.outage import Outage
from ingest.spool import Bounds, Spool, SpoolBroken
from ingest.spool_metrics import SpoolMetrics
from ingest.spool_place import Claim, claim_orphans
from streams.event import Event, Receipt

WINDOW_EVENTS = 100
WINDOW_BYTES = 4 * 1024 * 1024
IDLE_S = 0.5
ADOPT_INTERVAL_S = 10.0
DAMAGED_INTERVAL_S = 60.0  # between two tries of a spool that could not be opened: each is logged

log = structlog.get_logger("ingest")


class Drain:
    """Works for ever on this process's spool and on those that it adopts. ``ready`` says whether Kafka answers."""

    def __init__(
        self,
        spool: Spool,
        publish: Callable[[Event], Awaitable[Receipt]],
        outage: Outage,
        metrics: SpoolMetrics,
        *,
        place: Path,
        per_s: float,
        ready: Callable[[], bool],
        monotonic_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._spool, self._publish, self._outage, self._metrics = spool, publish, outage, metrics
        self._place, self._per_s, self._ready = place, per_s, ready
        self._monotonic_s, self._sleep = monotonic_s, sleep
        self._adopted: dict[Spool, Claim] = {}
        self._after: dict[Spool, bytes] = {}
        self._adopt_at_s = float("-inf")
        self._unreadable: set[bytes] = set()
        self._damaged: dict[Path, float] = {}  # when each is tried again

    def spools(self) -> Iterator[Spool]:
        """Yield every spool that this process has."""
        yield self._spool
        yield from self._adopted

    async def run(self) -> None:
        """Drain until cancelled; what waits then stays."""
        try:
            while True:
                try:
                    await self._round()
                except Exception:  # whatever it is, it must not end the drain: the spool would fill
                    log.exception("drain_failed")
                    await self._sleep(IDLE_S)
        finally:
            for spool, claim in self._adopted.items():
                await spool.close()
                claim.release()

    async def _round(self) -> None:
        await self._adopt()
        for spool in list(self.spools()):
            await self.drain(spool)
        await self._give_up_empty()
        await self._wait()

    async def drain(self, spool: Spool) -> None:
        """Publish what ``spool`` holds now; end early when Kafka acknowledges nothing.

        The next pass begins behind what was not acknowledged, so that events which Kafka refuses hold up no others.
        """
        while spool.events and self._ready():
            probing = self._outage.away
            if probing and not self._outage.may_try(self._monotonic_s()):
                return
            started_s, after = self._monotonic_s(), self._after.pop(spool, None)
            try:
                entries = await spool.read(after, events_max=1 if probing else WINDOW_EVENTS, bytes_max=WINDOW_BYTES)
                if not entries:
                    return
                self._after[spool] = entries[-1].key
                settled = await self._publish_all([(one.key, one.event) for one in entries])
                if settled:
                    await spool.delete(settled)
            except SpoolBroken:
                return  # logged
            if not settled:
                return
            self._metrics.published.inc(len(settled))
            await self._sleep(max(0.0, started_s + len(entries) / self._per_s - self._monotonic_s()))

    async def _publish_all(self, entries: list[tuple[bytes, Event | None]]) -> list[bytes]:
        """Publish these together and return the keys of those that Kafka has."""
        results = await asyncio.gather(*(self._publish_one(key, event) for key, event in entries))
        settled = [key for (key, _), kept in zip(entries, results, strict=True) if kept]
        if settled:
            if self._outage.acknowledged():
                log.warning("outage_ended", spooled=self._spool.events)
        elif any(event is not None for _, event in entries):
            self._outage.failed(self._monotonic_s())
        return settled

    async def _publish_one(self, key: bytes, event: Event | None) -> bool:
        if event is None:
            if key not in self._unreadable:
                self._unreadable.add(key)
                log.error("spool_unreadable", reason="another version of Headrace wrote this event; start that one")
            return False
        try:
            await self._publish(event)
        except Unavailable:
            return False
        return True

    async def _adopt(self) -> None:
        now_s = self._monotonic_s()
        if now_s < self._adopt_at_s or not self._ready():
            return
        self._adopt_at_s = now_s + ADOPT_INTERVAL_S
        for claim in claim_orphans(self._place):
            if now_s < self._damaged.get(claim.path, now_s):
                claim.release()
                continue
            # Nothing is put into it, so its bounds are those of the process's own.
            spool = Spool(claim.path, Bounds(self._spool.bounds.events_max, self._spool.bounds.bytes_max, 0))
            try:
                await spool.open()
            except SpoolBroken:
                self._damaged[claim.path] = now_s + DAMAGED_INTERVAL_S
                await spool.close()
                claim.release()
                continue
            self._damaged.pop(claim.path, None)
            log.warning("spool_adopted", path=str(claim.path), events=spool.events)
            self._adopted[spool] = claim
        self._damaged = {path: again_s for path, again_s in self._damaged.items() if path.exists()}
        self._metrics.damaged.set(len(self._damaged))

    async def _give_up_empty(self) -> None:
        for spool in [one for one in self._adopted if not one.events]:
            claim = self._adopted.pop(spool)
            self._after.pop(spool, None)
            await spool.close()
            claim.release(remove=True)

    async def _wait(self) -> None:
        """Return soon while something waits, else when something comes or an orphan may have."""
        if any(spool.events for spool in self.spools()):
            await self._sleep(IDLE_S)
            return
        self._spool.filled.clear()
        try:
            async with asyncio.timeout(ADOPT_INTERVAL_S):
                await self._spool.filled.wait()
        except TimeoutError:
            return
