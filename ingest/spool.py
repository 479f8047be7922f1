"""The spool of one ingest process: events wait on this machine's disk while Kafka is away.

An event is in the spool once its write is synced. Requests that wait at the same time share one write, so the disk
syncs once for all of them. A crash between the write and the answer leaves an event that nobody was promised; one
between its publishing and its deletion publishes it twice, with the same key and dedup id: fan-out drops the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import structlog

from ingest.spool_store import Entry, SpoolBroken, SpoolFull, SpoolStore, encode, size_of
from streams.event import Event

__all__ = ["Bounds", "Spool", "SpoolBroken", "SpoolFull", "opened"]

PUT_TIMEOUT_S = 5.0  # a disk that hangs must not hold requests for ever
LOG_INTERVAL_S = 10.0
GROUP_BYTES_MAX = 16 * 1024 * 1024  # of one write: it is held twice in memory

log = structlog.get_logger("ingest")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one process may keep, and how much of the disk it leaves free."""

    events_max: int
    bytes_max: int
    disk_free_bytes_min: int


@dataclass(slots=True)
class _Waiting:
    time_ms: int
    record: bytes
    stored: asyncio.Future[None]


class Spool:
    """Open from the start of `opened` to its end. All its methods belong to one event loop."""

    def __init__(
        self, path: Path, bounds: Bounds, *, store: SpoolStore | None = None, now_s: Callable[[], float] = time.time
    ) -> None:
        self.bounds = bounds
        self.events = self.bytes = 0  # what is being written is counted, so that the bounds hold
        self.oldest_s: float | None = None  # Unix time of the event that has waited longest, as of the last `look`
        self.filled = asyncio.Event()  # set by every event that is put
        self._store = store or SpoolStore(path, disk_free_bytes_min=bounds.disk_free_bytes_min)
        self._thread = ThreadPoolExecutor(1, "spool")
        self._waiting: list[_Waiting] = []
        self._writer: asyncio.Task[None] | None = None
        self._recount = False
        self._now_s = now_s
        self._logged_at_s = float("-inf")

    @property
    def used_ratio(self) -> float:
        """Return the used share of the bound that is nearest."""
        return max(self.events / self.bounds.events_max, self.bytes / self.bounds.bytes_max)

    @property
    def full(self) -> bool:
        """Return whether the next event has no place; the disk's free space is not looked at."""
        return self.used_ratio >= 1

    @property
    def broken(self) -> bool:
        """Return whether the disk refused the last that was asked of it."""
        return self._recount

    async def open(self) -> None:
        """Open what is on the disk.

        Raises:
            SpoolBroken: it cannot be opened or read.
        """
        stock = await self._run(self._store.count)
        self.events, self.bytes = stock.events, stock.bytes
        if self.events:
            log.warning("spool_found", path=str(self._store.path), events=self.events, bytes=self.bytes)
            self.filled.set()

    async def put(self, event: Event) -> None:
        """Return once the disk has the event.

        Raises:
            SpoolFull: it has no place.
            SpoolBroken: it is not known to be kept; it may be.
        """
        record = encode(event)
        if self.events + 1 > self.bounds.events_max or self.bytes + len(record) > self.bounds.bytes_max:
            self._warn("spool_full", events=self.events, bytes=self.bytes)
            raise SpoolFull("the spool is full")
        self._count(1, len(record))
        waiting = _Waiting(event.time_ms, record, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write(), name="spool writer")
        try:
            async with asyncio.timeout(PUT_TIMEOUT_S):
                await asyncio.shield(waiting.stored)
        except TimeoutError as error:
            waiting.stored.add_done_callback(_retrieve)
            raise SpoolBroken("the disk does not answer") from error
        except asyncio.CancelledError:
            waiting.stored.add_done_callback(_retrieve)
            raise

    async def read(self, after: bytes | None, *, events_max: int, bytes_max: int) -> list[Entry]:
        """Return the oldest events, or those behind the key ``after``.

        Raises:
            SpoolBroken: the disk refused.
        """
        return await self._run(lambda: self._store.read(after, events_max=events_max, bytes_max=bytes_max))

    async def delete(self, keys: Sequence[bytes]) -> None:
        """Forget events that Kafka has.

        Raises:
            SpoolBroken: the disk refused; they may be published again.
        """
        await self._run(lambda: self._store.delete(keys))
        self._count(-len(keys), -sum(map(size_of, keys)))
        if not self.events:
            await self._run(self._store.compact)

    async def look(self) -> None:
        """Take the time of the oldest event anew, and after a fault of the disk count again.

        Raises:
            SpoolBroken: the disk refused.
        """
        if self._recount and not self._waiting:
            stock = await self._run(self._store.count)
            if not self._waiting and (self._writer is None or self._writer.done()):
                self.events, self.bytes, self._recount = stock.events, stock.bytes, False
        oldest_ms = await self._run(self._store.oldest_ms) if self.events else None
        self.oldest_s = oldest_ms / 1000 if oldest_ms is not None else None

    async def close(self) -> None:
        """Close it; what waits stays on the disk. Put nothing afterwards."""
        if self._writer is not None:
            await asyncio.gather(self._writer, return_exceptions=True)
        with contextlib.suppress(SpoolBroken):
            await self._run(self._store.close)
        self._thread.shutdown(wait=False)

    async def _write(self) -> None:
        """Write all that waits, and all that comes meanwhile, group after group."""
        while self._waiting:
            group = self._take_group()
            error: Exception | None = None
            try:
                await self._run(lambda group=group: self._store.append([(one.time_ms, one.record) for one in group]))  # type: ignore[misc]  # mypy infers no lambda with a default
            except SpoolFull as full:
                error = full
                self._warn("spool_full", error=str(full))
            except SpoolBroken as broken:
                error, self._recount = broken, True
            if error is not None:
                self._count(-len(group), -sum(len(one.record) for one in group))
            for one in group:
                if one.stored.done():
                    continue
                if error is None:
                    one.stored.set_result(None)
                else:
                    one.stored.set_exception(error)
            if error is None:
                self.filled.set()

    def _take_group(self) -> list[_Waiting]:
        size = count = 0
        for one in self._waiting:
            size += len(one.record)
            if count and size > GROUP_BYTES_MAX:
                break
            count += 1
        group, self._waiting = self._waiting[:count], self._waiting[count:]
        return group

    def _count(self, events: int, size: int) -> None:
        self.events, self.bytes = max(0, self.events + events), max(0, self.bytes + size)

    async def _run(self, call: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, call)
        except SpoolBroken as error:
            self._recount = True
            self._warn("spool_broken", error=str(error))
            raise

    def _warn(self, event: str, **fields: object) -> None:
        now_s = self._now_s()
        if now_s - self._logged_at_s >= LOG_INTERVAL_S:
            self._logged_at_s = now_s
            log.error(event, path=str(self._store.path), **fields)


@contextlib.asynccontextmanager
async def opened(path: Path, bounds: Bounds) -> AsyncIterator[Spool]:
    """Give the spool in the directory ``path``, open; raises as `Spool.open`."""
    spool = Spool(path, bounds)
    try:
        await spool.open()
        yield spool
    finally:
        await spool.close()


def _retrieve(stored: asyncio.Future[None]) -> None:
    """Look at a result that nobody waits for any more, so that asyncio does not complain."""
    if not stored.cancelled():
        stored.exception()
